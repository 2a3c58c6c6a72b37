import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { prepareChatConfig } from "../../src/chat-config/prepare-chat-config.ts";
import { writeChatConfig } from "../../src/chat-config/write-chat-config.ts";
import type { GoldenCase } from "./golden-case.ts";
import { expectedFiles, goldenCases, layOut, otherFiles } from "./golden-case.ts";
import { factsOf } from "./golden-facts.ts";

const cases = goldenCases();

async function generate(golden: GoldenCase, folder: string) {
  return prepareChatConfig({
    model: factsOf(golden),
    quantization: golden.quantization,
    folder,
    convTemplate: golden.conv_template,
  });
}

describe("the files beside the weights", () => {
  for (const golden of cases.filter(({ expected }) => expected !== null)) {
    it(`equal upstream's for ${golden.id}`, async () => {
      const folder = await layOut(golden);
      const out = join(dirname(folder), "out");
      await writeChatConfig(await generate(golden, folder), out);
      expect(await readFile(join(out, "mlc-chat-config.json"), "utf8")).toBe(golden.expected);
      const files = await otherFiles(out);
      const expected = expectedFiles(golden);
      expect(Object.keys(files)).toEqual(Object.keys(expected));
      for (const [name, bytes] of Object.entries(expected))
        expect(files[name]?.equals(bytes), name).toBe(true);
    });
  }
});

function caseNamed(id: string): GoldenCase {
  const golden = cases.find((candidate) => candidate.id === id);
  if (!golden) throw new Error(`no case ${id}`);
  return golden;
}

const SOUND = caseNamed("llama3.1-8b-instruct");

/** Generates from the sound case's folder after `change`, with the sound case's model facts. */
async function generateChanged(change: (folder: string) => Promise<void>, strict = false) {
  const folder = await layOut(SOUND);
  await change(folder);
  return prepareChatConfig({
    model: factsOf(SOUND),
    quantization: "q4f16_1",
    folder,
    convTemplate: "llama-3_1",
    strict,
  });
}

describe("what upstream refuses", () => {
  it("is refused with the list of templates for an unregistered one", async () => {
    const golden = caseNamed("error-unregistered-template");
    const folder = await layOut(golden);
    const input = { model: factsOf(SOUND), quantization: "q4f16_1", folder };
    const failed = prepareChatConfig({ ...input, convTemplate: golden.conv_template });
    await expect(failed).rejects.toMatchObject({
      code: "E_CONV_TEMPLATE",
      message: expect.stringMatching(/LM, aya-23.*"llama_default"/),
    });
  });

  for (const [id, code] of [
    ["error-duplicate-added-token", "E_DUPLICATE_TOKEN"],
    ["error-normalizer-without-type", "E_TOKENIZER_JSON"],
  ] as const) {
    it(`is refused for ${id}`, async () => {
      const folder = await layOut(caseNamed(id));
      const input = { model: factsOf(SOUND), quantization: "q4f16_1", folder };
      await expect(prepareChatConfig({ ...input, convTemplate: "llama-2" })).rejects.toMatchObject({ code });
    });
  }
});

describe("a source folder with something wrong", () => {
  const pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

  for (const name of ["tokenizer.json", "tokenizer.model", "merges.txt", "config.json"]) {
    it(`is refused when ${name} is only a Git LFS pointer`, async () => {
      const failed = generateChanged((folder) => writeFile(join(folder, name), pointer));
      await expect(failed).rejects.toMatchObject({
        code: "E_LFS_POINTER",
        message: expect.stringContaining(name),
      });
    });
  }

  it("is refused with file, line and column when generation_config.json is no JSON", async () => {
    const failed = generateChanged((folder) =>
      writeFile(join(folder, "generation_config.json"), '{\n "a": }'),
    );
    await expect(failed).rejects.toMatchObject({
      code: "E_JSON",
      message: expect.stringMatching(/generation_config\.json: .* at line 2, column 7/),
    });
  });

  it("is accepted with a byte order mark before config.json", async () => {
    const { text, notices } = await generateChanged(async (folder) => {
      const config = await readFile(join(folder, "config.json"), "utf8");
      await writeFile(join(folder, "config.json"), `\ufeff${config}`);
    });
    expect(text).toBe(SOUND.expected);
    expect(notices).toContain("config.json begins with a byte order mark, which was ignored.");
  });

  it("gets a notice without any tokenizer, and is refused when strict", async () => {
    const remove = async (folder: string): Promise<void> => rm(join(folder, "tokenizer.json"));
    const { notices } = await generateChanged(remove);
    expect(notices.join("\n")).toContain("No tokenizer was found");
    await expect(generateChanged(remove, true)).rejects.toMatchObject({ code: "E_TOKENIZER_MISSING" });
  });

  it("gets a notice with the reason when tokenizer.model cannot be converted", async () => {
    const { notices, files } = await generateChanged(async (folder) => {
      await rm(join(folder, "tokenizer.json"));
      await writeFile(join(folder, "tokenizer_config.json"), "{}");
      await writeFile(join(folder, "tokenizer.model"), "not a protobuf message");
    });
    expect(notices.join("\n")).toMatch(/tokenizer\.model was not converted: .*SentencePiece/);
    expect(files.map(({ name }) => name)).not.toContain("tokenizer.json");
  });
});

describe("notices", () => {
  const noticesOf = async (id: string): Promise<string> => {
    const golden = caseNamed(id);
    const { notices } = await generate(golden, await layOut(golden));
    return notices.join("\n");
  };

  it("say when both window sizes are set", async () => {
    expect(await noticesOf("mistral-7b-context-over-window")).toContain("WebLLM refuses");
  });
  it("say when the prefill chunk is larger than the context", async () => {
    expect(await noticesOf("override-cohere-context-below-chunk")).toContain(
      "is larger than context_window_size",
    );
    expect(await noticesOf("olmo2-7b")).not.toContain("larger");
  });
  it("say when ids come from the defaults", async () => {
    expect(await noticesOf("olmo2-7b")).toContain("bos_token_id is in neither");
  });
  it("say when no decoder tells bytes from levels", async () => {
    expect(await noticesOf("edge-decoder-null")).toContain("byte_fallback is assumed");
  });
});

describe("writing", () => {
  it("leaves source files as they are when the output is the source folder", async () => {
    const folder = await layOut(SOUND);
    await writeChatConfig(await generate(SOUND, folder), folder);
    expect(await readFile(join(folder, "mlc-chat-config.json"), "utf8")).toBe(SOUND.expected);
    const files = await otherFiles(folder);
    expect(files["tokenizer.json"]?.toString()).toBe(SOUND.inputs["tokenizer.json"]);
    expect(Object.keys(files).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });
});
