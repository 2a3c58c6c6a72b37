import { copyFile, open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert, convertMany, outputFolders } from "../src/convert.ts";
import { UsageError } from "../src/core/errors.ts";
import type { ConvertEvent } from "../src/core/events.ts";
import { planConversion } from "../src/plan-conversion.ts";
import type { PlannedConversion } from "../src/plan-model.ts";
import { buildGoldenCase, readGoldenCase } from "./support/golden-case.ts";
import { tempFolder } from "./support/temp-folder.ts";

const goldenUrl = (id: string): URL => new URL(`./golden/cases/${id}.json`, import.meta.url);

/** Rebuilds a golden case's input and returns its folder. */
async function modelOf(id: string): Promise<string> {
  const folder = await tempFolder();
  await buildGoldenCase(await readGoldenCase(goldenUrl(id)), folder);
  return folder;
}

/** Every file of a folder with its content. */
async function contents(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "latin1")));
  return new Map(names.map((name, index) => [name, texts[index] as string]));
}

/** Every tensor of a result with its dtype, shape and bytes. */
async function tensorsIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const index = JSON.parse(await readFile(join(folder, "tensor-cache.json"), "utf8")) as {
    records: {
      dataPath: string;
      records: { name: string; dtype: string; shape: number[]; byteOffset: number; nbytes: number }[];
    }[];
  };
  const tensors = new Map<string, string>();
  for (const { dataPath, records } of index.records) {
    const bytes = await readFile(join(folder, dataPath));
    for (const { name, dtype, shape, byteOffset, nbytes } of records) {
      const data = bytes.toString("latin1", byteOffset, byteOffset + nbytes);
      tensors.set(name, `${dtype} [${shape}] ${data}`);
    }
  }
  return tensors;
}

describe("several schemes at once", () => {
  const quantizations = ["q4f16_1", "q4f32_1", "q0f16", "e4m3_e4m3_f16"];

  it("give what each gives alone", async () => {
    const model = await modelOf("packing-llama");
    const folder = await tempFolder();
    const request = { model, sync: false, threads: 2, weightsOnly: true };
    const output = join(folder, "{quantization}", "all");
    const reports = await convertMany({ ...request, quantizations, output });
    expect(reports.map(({ quantization }) => quantization)).toEqual(quantizations);
    for (const quantization of quantizations) {
      const alone = join(folder, quantization, "alone");
      await convert({ ...request, quantization, output: alone });
      expect(await contents(join(folder, quantization, "all"))).toEqual(await contents(alone));
    }
  });

  it("go into folders of their names, and one goes into the folder itself", () => {
    expect(outputFolders("/x", ["q0f16", "q4f16_1"])).toEqual(["/x/q0f16", "/x/q4f16_1"]);
    expect(outputFolders("/x", ["q0f16"])).toEqual(["/x"]);
    expect(outputFolders("/x-{quantization}-MLC", ["q0f16"])).toEqual(["/x-q0f16-MLC"]);
  });

  it("are refused without a scheme, and with one scheme twice", () => {
    expect(() => outputFolders("/x", [])).toThrow(UsageError);
    expect(() => outputFolders("/x", ["q0f16", "q0f16"])).toThrow(/each scheme once/);
  });

  it("keep what is finished of each, and publish nothing, when the run is stopped", async () => {
    const model = await modelOf("packing-llama");
    const folder = await tempFolder();
    const stop = new AbortController();
    const request = {
      model,
      quantizations: ["q0f16", "q4f16_1"],
      output: folder,
      threads: 1,
      maxMemory: 102 * 2 ** 20,
      sync: false,
    };
    const onEvent = ({ type }: ConvertEvent): void => {
      if (type === "shard") stop.abort();
    };
    await expect(convertMany(request, { onEvent, signal: stop.signal })).rejects.toThrow();
    expect((await readdir(folder)).every((name) => name.endsWith(".mlc-convert-partial"))).toBe(true);
    const reports = await convertMany(request);
    expect(reports.some(({ resumedShards }) => resumedShards > 0)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(["q0f16", "q4f16_1"]);
  });
});

/** Byte ranges of each file that a plan's gathers touch. */
function neededBytes({ plan }: PlannedConversion): readonly Uint8Array[] {
  const needed = plan.files.map(({ size }) => new Uint8Array(size));
  for (const { value, encoding } of plan.tensors) {
    const whole = encoding.kind === "fp8-values" ? encoding.whole?.gather : undefined;
    for (const { outer, blocks } of [value.gather, ...(whole ? [whole] : [])]) {
      for (const { tensor, offset, extents, strides, outerStride } of blocks) {
        const unit = tensor.dtype === "float32" ? 4 : 2;
        const mark = (axis: number, element: number): void => {
          if (axis === extents.length) {
            const at = tensor.byteOffset + element * unit;
            needed[tensor.file]?.fill(1, at, at + unit);
            return;
          }
          for (let i = 0; i < (extents[axis] as number); i++)
            mark(axis + 1, element + i * (strides[axis] ?? 0));
        };
        for (let row = 0; row < outer; row++) mark(0, offset + row * outerStride);
      }
    }
  }
  return needed;
}

/** Overwrites every data byte that is not needed; the share of bytes that this spoils. */
async function spoil(planned: PlannedConversion, folder: string): Promise<number> {
  const needed = neededBytes(planned);
  let spoiled = 0;
  let total = 0;
  for (const [index, { path, name, size }] of planned.plan.files.entries()) {
    const bytes = await readFile(path);
    const header = 8 + Number(bytes.readBigUInt64LE(0));
    for (let at = header; at < size; at++) {
      if (needed[index]?.[at]) continue;
      bytes[at] = 0xff;
      spoiled++;
    }
    total += size - header;
    const file = await open(join(folder, name), "w");
    await file.writeFile(bytes);
    await file.close();
  }
  return spoiled / total;
}

describe("one worker's part", () => {
  const cases = [
    ["tp-llama", "q4f16_1"],
    ["tp-llama", "q0f16"],
    ["tp-llama", "e4m3_e4m3_f16"],
    ["tp-mixtral", "q4f32_1"],
    ["tp-phi3", "q4f16_1"],
  ] as const;

  it.each(cases)("%s in %s: the parts of all ranks together equal the whole", async (id, quantization) => {
    const model = await modelOf(id);
    const folder = await tempFolder();
    const request = { model, quantization, preshard: 2, sync: false, threads: 2, weightsOnly: true };
    await convert({ ...request, output: join(folder, "whole") });
    const whole = await tensorsIn(join(folder, "whole"));
    const together = new Map<string, string>();
    for (const rank of [0, 1]) {
      const output = join(folder, `part-${rank}`);
      await convert({ ...request, rank, output });
      const part = await tensorsIn(output);
      expect([...part.keys()].some((name) => name.endsWith(`_shard-${1 - rank}`))).toBe(false);
      for (const [name, tensor] of part) {
        expect(tensor, name).toBe(together.get(name) ?? tensor);
        together.set(name, tensor);
      }
    }
    expect(new Map([...together].sort())).toEqual(new Map([...whole].sort()));
  });

  it.each(["q4f16_1", "q0f16", "q0f32", "e5m2_e5m2_f16"])(
    "%s: bytes that the worker does not need are not read",
    async (quantization) => {
      const model = await modelOf("tp-llama");
      const request = { model, quantization, preshard: 2, rank: 1, sync: false, weightsOnly: true };
      const folder = await tempFolder();
      const copy = await tempFolder();
      for (const name of await readdir(model)) {
        if ((await stat(join(model, name))).isFile()) await copyFile(join(model, name), join(copy, name));
      }
      expect(await spoil(await planConversion(request), copy)).toBeGreaterThan(0.3);
      await convert({ ...request, output: join(folder, "sound") });
      for (const map of [true, false]) {
        const output = join(folder, `spoiled ${map}`);
        await convert({ ...request, map, model: copy, output });
        expect(await contents(output)).toEqual(await contents(join(folder, "sound")));
      }
    },
  );

  it("needs the number of workers, and a rank below it", async () => {
    const model = await modelOf("tp-llama");
    const request = { model, quantization: "q4f16_1" };
    await expect(planConversion({ ...request, rank: 0 })).rejects.toThrow(UsageError);
    await expect(planConversion({ ...request, preshard: 2, rank: 2 })).rejects.toThrow(
      /from 0 to 1, found 2/,
    );
  });
});
