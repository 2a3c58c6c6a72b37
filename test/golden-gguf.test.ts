import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type GgufFiles, readGguf } from "../src/checkpoint/gguf.ts";
import { convert, convertMany } from "../src/convert.ts";
import { type GgufMetadata, ggufTypeOf } from "../src/core/gguf.ts";
import { writeSyntheticCheckpoint } from "../src/demo/synthetic-checkpoint.ts";
import type { SyntheticTensor } from "../src/demo/synthetic-tensor.ts";
import { encodeGgufHeader } from "../src/gguf/header.ts";
import { type GoldenEntry, goldenEntry, goldenJson, goldenPath } from "./gguf/golden.ts";
import { tempFolder } from "./support/temp-folder.ts";

interface Conversion {
  readonly id: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: string;
  readonly modelName: string;
  readonly tensors: readonly (readonly [string, readonly number[], SyntheticTensor["dtype"]])[];
  readonly metadata: readonly GoldenEntry[];
  readonly ropeFreqs?: readonly number[];
  readonly conversions: Readonly<
    Record<
      string,
      {
        readonly fileType: number;
        readonly tensors: readonly (readonly [string, string, readonly number[], string?])[];
      }
    >
  >;
}

const cases = readdirSync(goldenPath("conversions")).map((name) =>
  goldenJson<Conversion>(`conversions/${name}`),
);
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** What every published config.json says, and the MLC format asks for. */
const MLC_FIELDS = { hidden_act: "silu", hidden_activation: "gelu_pytorch_tanh", attention_bias: false };

/** The checkpoint of a golden conversion with its tokenizer, in a folder of the model's name. */
async function checkpointOf(golden: Conversion, stored?: SyntheticTensor["dtype"]): Promise<string> {
  const folder = join(await tempFolder(), golden.modelName);
  await mkdir(folder);
  const tensors = golden.tensors.map(([name, shape, dtype]) => ({
    name,
    shape,
    dtype: stored ?? dtype,
  }));
  await writeSyntheticCheckpoint(folder, {
    files: [{ name: "model.safetensors", tensors }],
    config: { ...MLC_FIELDS, ...golden.config },
  });
  const tokenizer = goldenPath(`tokenizers/${golden.tokenizer}`);
  for (const name of await readdir(tokenizer)) {
    if (name.startsWith("tokenizer")) await copyFile(join(tokenizer, name), join(folder, name));
  }
  return folder;
}

/** Long arrays as the golden files give them: a count and the MD5 of the elements as encoded. */
function summarised(metadata: GgufMetadata): ReadonlyMap<string, GoldenEntry> {
  return new Map(
    [...metadata].map(([key, value]) => {
      if (value.type !== "arr" || value.values.length <= 16) return [key, goldenEntry(key, value)];
      const header = encodeGgufHeader(new Map([[key, value]]), []);
      const start = 24 + 8 + Buffer.byteLength(key) + 4 + 4 + 8;
      let end = start;
      if (value.of === "str") for (const text of value.values) end += 8 + Buffer.byteLength(text);
      else end += value.values.length * 4;
      const summary = { of: value.of, count: value.values.length, md5: md5(header.subarray(start, end)) };
      return [key, [key, "arr", summary]];
    }),
  );
}

async function bytesOf({ files, tensors }: GgufFiles, name: string): Promise<Buffer> {
  const { file, byteOffset, nbytes } = tensors.get(name) ?? expect.fail(name);
  const bytes = await readFile(files[file]?.path ?? expect.fail());
  return bytes.subarray(byteOffset, byteOffset + nbytes);
}

async function compareTensors(written: GgufFiles, golden: Conversion, mixture: string): Promise<void> {
  const expected = golden.conversions[mixture]?.tensors ?? [];
  expect([...written.tensors.keys()].sort()).toEqual(expected.map(([name]) => name).sort());
  for (const [name, type, dims, hash] of expected) {
    const { dtype, shape } = written.tensors.get(name) ?? expect.fail();
    expect.soft([name, ggufTypeOf(dtype)?.name, [...shape].reverse()]).toEqual([name, type, dims]);
    const bytes = await bytesOf(written, name);
    if (hash) expect.soft([mixture, name, md5(bytes)]).toEqual([mixture, name, hash]);
    else {
      const expectedFactors = golden.ropeFreqs ?? expect.fail();
      for (const [at, factor] of expectedFactors.entries()) {
        expect(Math.abs(bytes.readFloatLE(at * 4) / factor - 1)).toBeLessThan(1e-6);
      }
    }
  }
}

describe.each(cases)("the GGUF files of $id", (golden) => {
  it("are what the reference converter and quantizer write", async () => {
    const model = await checkpointOf(golden);
    const output = await tempFolder();
    const quantizations = Object.keys(golden.conversions);
    await convertMany({
      model,
      quantizations,
      format: "gguf",
      output: join(output, "{quantization}.gguf"),
      sync: false,
      threads: 2,
    });
    expect((await readdir(output)).sort()).toEqual(quantizations.map((name) => `${name}.gguf`).sort());
    for (const mixture of quantizations) {
      const written = await readGguf(join(output, `${mixture}.gguf`));
      await compareTensors(written, golden, mixture);
      const fileType = golden.conversions[mixture]?.fileType;
      const metadata = [...golden.metadata, ["general.file_type", "u32", fileType] as const];
      const found = summarised(written.metadata);
      for (const entry of metadata) expect.soft(found.get(entry[0]), entry[0]).toEqual(entry);
      expect(found.size).toBe(metadata.length);
    }
  }, 240_000);

  it("become the MLC model of their checkpoint again, bit for bit", async () => {
    // GGUF files hold Gemma's norms plus one, summed in float32; the MLC format sums in the checkpoint's dtype.
    const model = await checkpointOf(golden, golden.id === "gemma2" ? "F32" : undefined);
    const output = await tempFolder();
    const request = { model, sync: false, threads: 2 };
    const file = join(output, "f32.gguf");
    await convert({ ...request, format: "gguf", quantization: "F32", output: file });
    const mlc = { ...request, quantization: "q0f16", weightsOnly: true };
    await convert({ ...mlc, output: join(output, "from-checkpoint") });
    await convert({ ...mlc, model: file, output: join(output, "from-gguf") });
    const expected = await tensorsIn(join(output, "from-checkpoint"));
    const found = await tensorsIn(join(output, "from-gguf"));
    expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, tensor] of expected) expect.soft(found.get(name) === tensor, name).toBe(true);
  });
});

/** Every tensor of a converted model: dtype, shape and bytes. */
async function tensorsIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const { records } = JSON.parse(await readFile(join(folder, "tensor-cache.json"), "utf8"));
  const tensors = new Map<string, string>();
  for (const shard of records) {
    const bytes = await readFile(join(folder, shard.dataPath));
    for (const { name, dtype, shape, byteOffset, nbytes } of shard.records) {
      const data = bytes.toString("latin1", byteOffset, byteOffset + nbytes);
      tensors.set(name, `${dtype} [${shape}] ${data}`);
    }
  }
  return tensors;
}
