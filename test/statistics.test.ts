import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../src/checkpoint/open-checkpoint.ts";
import { type ConvertRequest, convert } from "../src/convert.ts";
import { listBackends } from "../src/native/addon.ts";
import type { TensorQuality } from "../src/report/statistics.ts";
import { goldenPath } from "./gguf/golden.ts";
import { buildGoldenCase, readGoldenCase } from "./support/golden-case.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { tensorBytes } from "./support/tensor-bytes.ts";

const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));
const goldenUrl = (id: string): URL => new URL(`./golden/cases/${id}.json`, import.meta.url);

/** Rebuilds a golden case's input, with some F32 tensors filled with one value. */
async function modelOf(id: string, fill?: Readonly<Record<string, number>>): Promise<string> {
  const folder = await tempFolder();
  const golden = await readGoldenCase(goldenUrl(id));
  await buildGoldenCase(fill ? { ...golden, fill } : golden, folder);
  return folder;
}

async function qualityOf(request: Omit<ConvertRequest, "output">): Promise<readonly TensorQuality[]> {
  const output = join(await tempFolder(), "out");
  const { statistics } = await convert({ sync: false, stats: true, ...request, output });
  return statistics ?? [];
}

const row = (rows: readonly TensorQuality[], tensor: string): TensorQuality | undefined =>
  rows.find((one) => one.tensor === tensor);

function halfAt(view: DataView, at: number): number {
  const bits = view.getUint16(at, true);
  const exponent = (bits >> 10) & 31;
  const magnitude = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1024 + (bits & 1023)) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

interface Stored {
  readonly bytes: Uint8Array;
  readonly shape: readonly number[];
}

async function stored(folder: string, wanted: string): Promise<Stored> {
  const { records } = JSON.parse(await readFile(join(folder, "tensor-cache.json"), "utf8")) as {
    records: {
      dataPath: string;
      records: { name: string; shape: number[]; byteOffset: number; nbytes: number }[];
    }[];
  };
  for (const { dataPath, records: inside } of records) {
    const found = inside.find(({ name }) => name === wanted);
    if (!found) continue;
    const bytes = await readFile(join(folder, dataPath));
    return { bytes: bytes.subarray(found.byteOffset, found.byteOffset + found.nbytes), shape: found.shape };
  }
  throw new Error(`no tensor ${wanted}`);
}

describe("statistics", () => {
  it("are what dequantizing the stored tensor shows", async () => {
    const model = await modelOf("llama-0-f32");
    const folder = join(await tempFolder(), "out");
    const module = "model.layers.0.self_attn.o_proj";
    const report = await convert({
      model,
      quantization: "q4f16_1",
      output: folder,
      sync: false,
      stats: true,
    });
    const words = await stored(folder, `${module}.q_weight`);
    const scales = await stored(folder, `${module}.q_scale`);
    const checkpoint = await openCheckpoint(model, { sourceFormat: "auto" });
    const info = checkpoint.tensors.get(`${module}.weight`);
    const source = await tensorBytes(checkpoint, `${module}.weight`);
    const [rows = 0, cols = 0] = info?.shape ?? [];
    const [, groups] = scales.shape as readonly [number, number];
    const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [wordView, scaleView, sourceView] = [view(words.bytes), view(scales.bytes), view(source)];
    const sums = { max: 0, error: 0, value: 0 };
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const word = wordView.getUint32((r * groups * 4 + Math.floor(c / 8)) * 4, true);
        const code = ((word >>> ((c % 8) * 4)) & 15) - 7;
        const scale = halfAt(scaleView, (r * groups + Math.floor(c / 32)) * 2);
        const value = sourceView.getFloat32((r * cols + c) * 4, true);
        const error = Math.abs(code * scale - value);
        sums.max = Math.max(sums.max, error);
        sums.error += error ** 2;
        sums.value += value ** 2;
      }
    }
    const found = row(report.statistics ?? [], `${module}.q_weight`);
    expect(found?.elements).toBe(rows * cols);
    expect(found?.maxError).toBeCloseTo(sums.max, 6);
    expect(found?.rmsError).toBeCloseTo(Math.sqrt(sums.error / rows / cols), 6);
    expect(found?.signalToNoiseDb).toBeCloseTo(10 * Math.log10(sums.value / sums.error), 3);
    expect(found?.signalToNoiseDb).toBeGreaterThan(10);
  });

  it.each([
    ["llama-0-f32", "q4f16_1"],
    ["llama-0-f32", "q3f16_0"],
    ["llama-0", "q4bf16_0"],
    ["llama-0-f16", "q4f32_1"],
    ["phi3-0", "q3f16_1"],
    ["llama-0-f32", "e4m3_e4m3_f16"],
    ["llama-0-f16", "e5m2_e5m2_f16"],
    ["llama-0-f32", "q0bf16"],
    ["gemma-0", "q0f32"],
  ])(
    "of %s in %s are the same with every backend and reading in pieces, and change no byte",
    async (id, quantization) => {
      const model = await modelOf(id);
      const folder = await tempFolder();
      const plain = join(folder, "plain");
      await convert({ model, quantization, output: plain, sync: false });
      const expected = await qualityOf({ model, quantization, backend: "reference", threads: 1 });
      expect(expected.length).toBeGreaterThan(0);
      for (const backend of BACKENDS) {
        const output = join(folder, backend);
        const report = await convert({ model, quantization, output, backend, sync: false, stats: true });
        expect(report.statistics, backend).toEqual(expected);
        const whole = await readFile(join(output, "tensor-cache.json"), "utf8");
        expect(whole).toBe(await readFile(join(plain, "tensor-cache.json"), "utf8"));
      }
      const pieces = await qualityOf({ model, quantization, map: false });
      expect(pieces.map(({ nonFinite, overflowed }) => [nonFinite, overflowed])).toEqual(
        expected.map(({ nonFinite, overflowed }) => [nonFinite, overflowed]),
      );
    },
  );

  it("count zero groups, infinite scales, and values that are lost", async () => {
    const o = "model.layers.0.self_attn.o_proj";
    const down = "model.layers.1.mlp.down_proj";
    const norm = "model.norm.weight";
    const model = await modelOf("llama-0-f32", {
      [`${o}.weight`]: 0,
      [`${down}.weight`]: 1e6,
      [norm]: Number.NaN,
    });
    const rows = await qualityOf({ model, quantization: "q4f16_1" });
    const zero = row(rows, `${o}.q_weight`);
    expect(zero).toMatchObject({ maxError: 0, signalToNoiseDb: null, nonFinite: 0, overflowed: 0 });
    expect(zero?.zeroGroups).toBeGreaterThan(0);
    const large = row(rows, `${down}.q_weight`);
    expect(large?.overflowed).toBe(large?.elements);
    expect(large?.infiniteScales).toBeGreaterThan(0);
    const lost = row(rows, norm);
    expect(lost?.nonFinite).toBe(lost?.elements);
  });

  it.each(["Q8_0", "Q4_0", "F16"])(
    "of a GGUF file in %s are the same with every backend",
    async (quantization) => {
      const model = goldenPath("files/tiny-llama.gguf");
      const folder = await tempFolder();
      const rows = async (backend: string): Promise<readonly TensorQuality[]> => {
        const output = join(folder, `${backend}.gguf`);
        const request = {
          model,
          quantization,
          format: "gguf",
          output,
          sync: false,
          stats: true,
          force: true,
        } as const;
        return (await convert({ ...request, backend })).statistics ?? [];
      };
      const expected = await rows("reference");
      const lossy = expected.filter(({ encoding }) => encoding !== "raw");
      if (quantization !== "F16") {
        expect(lossy.length).toBeGreaterThan(0);
        for (const { maxError, signalToNoiseDb } of lossy) {
          expect(maxError).toBeGreaterThan(0);
          expect(signalToNoiseDb).toBeGreaterThan(quantization === "Q8_0" ? 35 : 15);
        }
      }
      for (const backend of BACKENDS) expect(await rows(backend), backend).toEqual(expected);
    },
  );

  it("of what is copied count what is not finite, and no error", async () => {
    const norm = "model.norm.weight";
    const model = await modelOf("llama-0-f32", { [norm]: Number.POSITIVE_INFINITY });
    const rows = await qualityOf({ model, quantization: "q0f32", sourceFormat: "huggingface-safetensor" });
    const lost = row(rows, norm);
    expect(lost?.nonFinite).toBe(lost?.elements);
    const sound = rows.filter(({ tensor }) => tensor !== norm);
    expect(sound.length).toBeGreaterThan(0);
    for (const { nonFinite, overflowed } of sound) expect([nonFinite, overflowed]).toEqual([0, 0]);
    const same = await qualityOf({ model: await modelOf("llama-0-f16"), quantization: "q0f16" });
    expect(same.length).toBeGreaterThan(0);
    for (const { maxError, rmsError } of same) expect([maxError, rmsError]).toEqual([0, 0]);
  });

  it("are absent unless asked for", async () => {
    const model = await modelOf("llama-0");
    const report = await convert({ model, quantization: "q0f16", output: join(model, "out"), sync: false });
    expect(report.statistics).toBeUndefined();
  });
});

describe("a strict conversion", () => {
  const fill = { "model.layers.1.mlp.down_proj.weight": 1e6 };

  it("publishes nothing when values are too large for the scheme, and names the tensor", async () => {
    const model = await modelOf("llama-0-f32", fill);
    const folder = await tempFolder();
    const request = { model, quantization: "q4f16_1", output: join(folder, "out"), sync: false };
    await expect(convert({ ...request, strict: true })).rejects.toMatchObject({
      code: "E_NON_FINITE",
      message: expect.stringContaining("model.layers.1.mlp.down_proj.q_weight: 0 values are not finite"),
    });
    expect(await readdir(folder)).not.toContain("out");
    await convert(request);
    expect(await readdir(folder)).toContain("out");
  });

  it("takes them where the scheme's dtype holds them", async () => {
    const model = await modelOf("llama-0-f32", fill);
    const output = join(await tempFolder(), "out");
    await convert({ model, quantization: "q4f32_1", output, strict: true, sync: false });
    expect(await readdir(output)).toContain("tensor-cache.json");
  });
});
