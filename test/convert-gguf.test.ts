import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readGguf } from "../src/checkpoint/gguf.ts";
import { type ConvertRequest, convert, outputFolders } from "../src/convert.ts";
import type { ConvertEvent } from "../src/core/events.ts";
import { writeSyntheticCheckpoint } from "../src/demo/synthetic-checkpoint.ts";
import { planConversion } from "../src/plan-conversion.ts";
import { planReport } from "../src/report/plan-report.ts";
import { verify } from "../src/verify.ts";
import { goldenPath } from "./gguf/golden.ts";
import { toyModel } from "./native/toy-models.ts";
import { tempFolder } from "./support/temp-folder.ts";

const MODEL = goldenPath("files/tiny-llama.gguf");

/** Converts the golden llama file to another GGUF file. */
const toGguf = (output: string, more: Partial<ConvertRequest> = {}) =>
  convert({ model: MODEL, quantization: "Q8_0", format: "gguf", sync: false, threads: 2, output, ...more });

describe("writing one GGUF file", () => {
  it("puts it where the name says, and nothing beside it", async () => {
    const folder = await tempFolder();
    const file = join(folder, "model.gguf");
    const report = await toGguf(file);
    expect(report).toMatchObject({ output: file, quantization: "Q8_0", architecture: "llama" });
    expect(await readdir(folder)).toEqual(["model.gguf"]);
    const { metadata, tensors } = await readGguf(file);
    expect(tensors.get("blk.0.attn_q.weight")?.dtype).toBe("q8_0");
    const source = await readGguf(MODEL);
    for (const key of ["tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.chat_template"])
      expect(metadata.get(key)).toEqual(source.metadata.get(key));
    expect(metadata.get("general.name")).toEqual(source.metadata.get("general.name"));
  });

  it("replaces an existing one only when that is asked for", async () => {
    const file = join(await tempFolder(), "model.gguf");
    await writeFile(file, "precious");
    await expect(toGguf(file)).rejects.toMatchObject({ code: "E_OUTPUT_EXISTS" });
    expect(await readFile(file, "utf8")).toBe("precious");
    await toGguf(file, { force: true });
    expect((await readGguf(file)).tensors.size).toBeGreaterThan(10);
  });

  it("refuses a folder in its place", async () => {
    const file = join(await tempFolder(), "model.gguf");
    await mkdir(file);
    await expect(toGguf(file)).rejects.toMatchObject({ code: "E_OUTPUT_IS_FOLDER" });
  });

  it("goes on where a stopped run was, and gives the same bytes", async () => {
    const folder = await tempFolder();
    const whole = join(folder, "whole.gguf");
    await toGguf(whole);
    const file = join(folder, "model.gguf");
    await toGguf(file, { onlyShards: [0, 0] });
    expect(await readdir(folder)).not.toContain("model.gguf");
    const { resumedShards } = await toGguf(file);
    expect(resumedShards).toBe(1);
    expect(Buffer.compare(await readFile(file), await readFile(whole))).toBe(0);
  });

  it("makes shards again whose bytes have changed", async () => {
    const folder = await tempFolder();
    const whole = join(folder, "whole.gguf");
    await toGguf(whole);
    const file = join(folder, "model.gguf");
    const { output: staged } = await toGguf(file, { onlyShards: [0, 0] });
    const bytes = await readFile(join(staged, "model.gguf"));
    bytes.fill(1, bytes.length - 8);
    await writeFile(join(staged, "model.gguf"), bytes);
    expect((await toGguf(file)).resumedShards).toBe(0);
    expect(Buffer.compare(await readFile(file), await readFile(whole))).toBe(0);
  });
});

describe("writing a folder of GGUF files", () => {
  it("names the file after model and quantization, and says where it comes from", async () => {
    const output = join(await tempFolder(), "out");
    await toGguf(output);
    expect((await readdir(output)).sort()).toEqual([
      "gguf-index.json",
      "mlc-convert.json",
      "tiny-llama-Q8_0.gguf",
    ]);
  });

  it("splits a model into parts that hold what one file holds", async () => {
    const folder = await tempFolder();
    await toGguf(join(folder, "whole.gguf"));
    await toGguf(join(folder, "parts"), { splitMaxSize: 20_000, manifest: false });
    const names = (await readdir(join(folder, "parts"))).sort();
    expect(names.length).toBeGreaterThan(2);
    expect(names[0]).toMatch(/^tiny-llama-Q8_0-00001-of-0000\d\.gguf$/);
    const whole = await readGguf(join(folder, "whole.gguf"));
    const parts = await readGguf(join(folder, "parts", names[0] ?? ""));
    expect(parts.metadata).toEqual(whole.metadata);
    expect([...parts.tensors.keys()]).toEqual([...whole.tensors.keys()]);
    for (const [name, info] of whole.tensors) {
      const bytes = async (files: typeof whole, { file, byteOffset, nbytes }: typeof info) =>
        (await readFile(files.files[file]?.path ?? expect.fail())).subarray(byteOffset, byteOffset + nbytes);
      const other = parts.tensors.get(name) ?? expect.fail();
      expect(Buffer.compare(await bytes(whole, info), await bytes(parts, other))).toBe(0);
    }
  });

  it("refuses several parts where one file is named", async () => {
    const folder = await tempFolder();
    const split = toGguf(join(folder, "model.gguf"), { splitMaxSize: 20_000 });
    await expect(split).rejects.toMatchObject({ code: "E_OPTION" });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("planning a GGUF file", () => {
  const plan = (more: object) =>
    planConversion({ model: MODEL, quantization: "Q4_K_M", format: "gguf", ...more });

  it("knows every tensor's type and place without reading a weight", async () => {
    const { plan: planned, layout, target } = await plan({});
    expect(planned.scheme.name).toBe("Q4_K_M");
    expect(new Set(planned.tensors.map(({ encoding }) => encoding.kind))).toEqual(new Set(["raw", "ggml"]));
    expect(target.kind).toBe("gguf");
    expect(layout.float32AsBfloat16).toBe(false);
  });

  it("refuses what only the other format has", async () => {
    await expect(plan({ quantization: "q4f16_1" })).rejects.toMatchObject({ code: "E_UNKNOWN_QUANTIZATION" });
    await expect(plan({ preshard: 2 })).rejects.toMatchObject({ code: "E_OPTION" });
    await expect(plan({ modelType: "mistral" })).rejects.toMatchObject({ code: "E_OPTION" });
    const split = planConversion({ model: MODEL, quantization: "q4f16_1", splitMaxSize: 1 });
    await expect(split).rejects.toMatchObject({ code: "E_OPTION" });
  });

  it("takes several quantizations into several files only", () => {
    const names = ["Q4_0", "Q8_0"];
    expect(outputFolders("/x-{quantization}.gguf", names)).toEqual(["/x-Q4_0.gguf", "/x-Q8_0.gguf"]);
    expect(() => outputFolders("/x.gguf", names)).toThrow("cannot hold Q4_0 and Q8_0");
  });

  it("tells when a source was quantized before", async () => {
    const notices: string[] = [];
    const onEvent = (event: ConvertEvent): void => {
      if (event.type === "notice") notices.push(event.message);
    };
    const output = join(await tempFolder(), "again.gguf");
    const model = goldenPath("files/tiny-gemma2.gguf");
    await convert(
      { model, quantization: "Q4_0", format: "gguf", sync: false, threads: 2, output },
      { onEvent },
    );
    expect(notices.join()).toContain("already quantized");
  });
});

describe("large tensors", () => {
  it("are made in pieces by several threads, and are whole in file, plan and statistics", async () => {
    const folder = await tempFolder();
    const vocab = 40_000;
    const { config, tensors } = toyModel("llama", vocab);
    const floats = tensors.map((each) => ({ ...each, dtype: "F32" as const }));
    const model = join(folder, "model");
    await mkdir(model);
    await writeSyntheticCheckpoint(model, {
      files: [{ name: "model.safetensors", tensors: floats }],
      config,
    });
    for (const name of ["tokenizer.json", "tokenizer_config.json"])
      await copyFile(goldenPath(`tokenizers/bpe-llama3/${name}`), join(model, name));
    const request = { model, quantization: "F32", format: "gguf" as const };
    const { layout, plan } = await planConversion(request);
    const pieces = layout.shards.filter(({ tensors: [first] }) => first?.rows !== undefined);
    expect(pieces).toHaveLength(4);
    const rows = planReport({ plan, layout }).tensors;
    expect(rows.map(({ name }) => name)).toEqual(plan.tensors.map(({ name }) => name));
    expect(rows[0]?.nbytes).toBe(vocab * 256 * 4);
    const output = join(folder, "out");
    const { statistics } = await convert({ ...request, output, sync: false, threads: 2, stats: true });
    const measured = (statistics ?? []).filter(({ tensor }) => tensor === "output.weight");
    expect(measured.map(({ elements }) => elements)).toEqual([vocab * 256]);
    expect((await verify(output)).faults).toEqual([]);
    // Float32 rows that are not permuted are the source's bytes.
    const file = join(output, "model-F32.gguf");
    const found = (await readGguf(file)).tensors;
    const bytes = await readFile(file);
    const source = await readFile(join(model, "model.safetensors"));
    for (const name of ["token_embd.weight", "output.weight"]) {
      const { byteOffset = 0, nbytes = 0 } = found.get(name) ?? {};
      expect(nbytes).toBe(vocab * 256 * 4);
      expect.soft(source.includes(bytes.subarray(byteOffset, byteOffset + nbytes)), name).toBe(true);
    }
  });
});

describe("an unknown pre-tokenizer", () => {
  it("can be named, for GGUF only", async () => {
    const folder = await tempFolder();
    const { config, tensors } = toyModel("llama", 512);
    await writeSyntheticCheckpoint(folder, { files: [{ name: "model.safetensors", tensors }], config });
    const json = JSON.parse(await readFile(goldenPath("tokenizers/bpe-llama3/tokenizer.json"), "utf8"));
    json.pre_tokenizer = { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: false }] };
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(json));
    const output = join(folder, "o.gguf");
    const request = { model: folder, quantization: "F16", sync: false, threads: 2, output };
    const toFile = { ...request, format: "gguf" as const };
    await expect(convert(toFile)).rejects.toMatchObject({
      code: "E_GGUF_PRE_TOKENIZER",
      hint: expect.stringContaining("--pre-tokenizer"),
    });
    await convert({ ...toFile, preTokenizer: "smaug-bpe" });
    const { metadata } = await readGguf(output);
    expect(metadata.get("tokenizer.ggml.pre")).toEqual({ type: "str", value: "smaug-bpe" });
    const toMlc = { ...request, quantization: "q0f16", output: join(folder, "o"), preTokenizer: "smaug-bpe" };
    await expect(convert(toMlc)).rejects.toMatchObject({ code: "E_OPTION" });
  });
});
