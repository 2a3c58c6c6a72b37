import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { prepareChatConfig } from "../../src/chat-config/prepare-chat-config.ts";
import { formatProvenance, PROVENANCE_NAME, readProvenance } from "../../src/chat-config/provenance.ts";
import { verifyChatConfig } from "../../src/chat-config/verify-chat-config.ts";
import { hashPreparedFiles, writeChatConfig } from "../../src/chat-config/write-chat-config.ts";
import type { FileIntegrity } from "../../src/core/integrity.ts";
import { integrityOf } from "../../src/core/integrity.ts";
import { goldenCases, layOut, otherFiles } from "./golden-case.ts";
import { factsOf } from "./golden-facts.ts";

const cases = goldenCases();

/** A converted model's folder, with provenance. */
async function convert(id: string): Promise<string> {
  const golden = cases.find((candidate) => candidate.id === id);
  if (!golden) throw new Error(`no case ${id}`);
  const source = await layOut(golden);
  const prepared = await prepareChatConfig({
    model: factsOf(golden),
    quantization: golden.quantization,
    folder: source,
    convTemplate: golden.conv_template,
  });
  const folder = join(dirname(source), "out");
  await writeChatConfig(prepared, folder);
  await writeFile(join(folder, PROVENANCE_NAME), provenanceOf(await hashPreparedFiles(prepared)));
  return folder;
}

function provenanceOf(files: ReadonlyMap<string, FileIntegrity>): string {
  return formatProvenance({
    toolVersion: "0.1.0",
    source: { id: "org/model", commit: "0123456789abcdef", files: new Map() },
    conversion: {
      modelType: "llama",
      quantization: "q4f16_1",
      backend: "avx2",
      options: new Map([["context_window_size", 4096]]),
      planDigest: "sha256-x",
    },
    files,
  });
}

const SOUND = ["llama3.1-8b-instruct", "convert-spm-llama", "rwkv5-vocab-txt", "qwen3-0.6b", "medusa-heads"];

describe("verifying config, tokenizer and template", () => {
  for (const id of SOUND) {
    it(`finds no problem in the folder of ${id}`, async () => {
      const { problems, checks } = await verifyChatConfig(await convert(id));
      expect(problems).toEqual([]);
      expect(checks).toBeGreaterThan(20);
    });
  }

  it("finds one changed bit in any file and names the file", async () => {
    const folder = await convert("llama3.1-8b-instruct");
    const names = [...Object.keys(await otherFiles(folder)), "mlc-chat-config.json"];
    expect(names).toHaveLength(4);
    for (const name of names) {
      const path = join(folder, name);
      const sound = await readFile(path);
      for (const at of [0, sound.length >> 1, sound.length - 1]) {
        const flipped = Buffer.from(sound);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        await writeFile(path, flipped);
        const { problems } = await verifyChatConfig(folder);
        expect(problems.join("\n"), `${name} at ${at}`).toContain(name);
      }
      await writeFile(path, sound);
    }
    expect((await verifyChatConfig(folder)).problems).toEqual([]);
  });

  it("finds what is missing", async () => {
    const folder = await convert("llama3.1-8b-instruct");
    await rm(join(folder, PROVENANCE_NAME));
    expect((await verifyChatConfig(folder)).notices.join("\n")).toContain("There is no mlc-convert.json");
    await rm(join(folder, "tokenizer.json"));
    expect((await verifyChatConfig(folder)).problems).toContain(
      'tokenizer_files: "tokenizer.json" is missing',
    );
    await rm(join(folder, "mlc-chat-config.json"));
    expect((await verifyChatConfig(folder)).problems).toEqual(["mlc-chat-config.json: missing"]);
  });

  for (const [what, from, to, problem] of [
    [
      "a size that is no integer",
      '"vocab_size": 128256,\n  "context',
      '"vocab_size": null,\n  "context',
      /^vocab_size: expected an integer/,
    ],
    ["a template without seps", '"seps": [', '"sep": [', /^conv_template: expected a conversation template/],
    [
      "a method that tokenizer.json contradicts",
      '"byte_level"',
      '"byte_fallback"',
      /^tokenizer_info: differs/,
    ],
    [
      "a role that is missing",
      '"assistant": "<|start',
      '"bot": "<|start',
      /^conv_template: expected a role assistant/,
    ],
  ] as const) {
    it(`finds ${what}`, async () => {
      const folder = await convert("llama3.1-8b-instruct");
      await rm(join(folder, PROVENANCE_NAME));
      const path = join(folder, "mlc-chat-config.json");
      const text = await readFile(path, "utf8");
      expect(text).toContain(from);
      await writeFile(path, text.replace(from, to));
      const { problems } = await verifyChatConfig(folder);
      expect(
        problems.filter((line) => problem.test(line)),
        problems.join("\n"),
      ).not.toEqual([]);
    });
  }
});

const ONE_FILE = new Map([["a.json", integrityOf("a")]]);

describe("provenance", () => {
  it("is the same text for the same facts, and says what it lists", () => {
    const text = provenanceOf(ONE_FILE);
    expect(provenanceOf(ONE_FILE)).toBe(text);
    expect(JSON.parse(text)).toMatchObject({
      source: { id: "org/model", commit: "0123456789abcdef" },
      conversion: { backend: "avx2", options: { context_window_size: 4096 } },
    });
    expect(readProvenance(text).files.get("a.json")).toEqual(integrityOf("a"));
  });

  it("is not believed when its digest does not fit", () => {
    const text = provenanceOf(ONE_FILE).replace("avx2", "avx3");
    expect(readProvenance(text)).toMatchObject({
      files: new Map(),
      problem: expect.stringContaining("found"),
    });
    expect(readProvenance("{}").problem).toContain("expected a digest");
  });
});
