import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Layout, Shard } from "../../src/core/layout.ts";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import { encodeShard } from "../../src/execute/program.ts";
import { runShards } from "../../src/execute/run-shards.ts";
import { chooseBackend, createJob, type NativeJob } from "../../src/native/addon.ts";
import type { OutputTensor } from "../../src/plan/plan.ts";
import { evaluate, ShapeProblem, type Value } from "../../src/plan/value.ts";
import { type Naive, naive, type Sample, samples } from "../support/naive-expression.ts";
import { tempFolder } from "../support/temp-folder.ts";

const BACKEND = chooseBackend("auto");
const BUDGET = { threads: 2, lanes: 3, ahead: 1, tileBytes: 4096, keptBytes: 0 };
const WORDS = 4096;

/** Sources that lie one behind the other in a file of uint32 0, 1, 2, … */
function placed(sources: Sample["sources"]): ReadonlyMap<string, TensorInfo> {
  let start = 0;
  return new Map(
    sources.map(({ name, shape }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const byteOffset = 4 * start;
      start += count;
      return [name, { name, dtype: "uint32", shape, file: 0, byteOffset, nbytes: 4 * count } as const];
    }),
  );
}

function outputTensor(name: string, value: Value): OutputTensor {
  const cols = value.shape.at(-1) ?? 1;
  const elements = value.shape.reduce((a, b) => a * b, 1);
  return {
    name,
    shape: value.shape,
    dtype: "uint32",
    encoding: { kind: "raw" },
    modelDType: "uint32",
    value,
    rows: elements / cols,
    cols,
    sources: [],
    parameter: name,
  };
}

describe("a program", () => {
  it("makes the addon write the elements that a naive evaluation gives", async () => {
    const folder = await tempFolder();
    const path = join(folder, "source");
    await writeFile(
      path,
      Uint32Array.from({ length: WORDS }, (_, at) => at),
    );
    const expected: number[][] = [];
    const tensors: OutputTensor[] = [];
    for (const { expression, sources } of fc.sample(samples(), { numRuns: 400, seed: 7 })) {
      const infos = placed(sources);
      const resolve = (name: string): TensorInfo => infos.get(name) as TensorInfo;
      try {
        tensors.push(outputTensor(`o${tensors.length}`, evaluate(expression, resolve)));
      } catch (error) {
        if (error instanceof ShapeProblem) continue;
        throw error;
      }
      const source = (name: string): Naive => {
        const { shape, byteOffset, nbytes } = resolve(name);
        return { shape, elements: Array.from({ length: nbytes / 4 }, (_, at) => byteOffset / 4 + at) };
      };
      expected.push([...naive(expression, source).elements]);
    }
    expect(tensors.length).toBeGreaterThan(200);
    const shards = tensors.map(({ rows, cols }, tensor): Shard => {
      const nbytes = 4 * rows * cols;
      return { path: `shard-${tensor}`, fileOffset: 0, nbytes, tensors: [{ tensor, byteOffset: 0, nbytes }] };
    });
    const layout: Layout = { shards, float32AsBfloat16: false, nbytes: 0 };
    await runShards(
      [
        {
          files: [{ path, name: "source", size: 4 * WORDS }],
          tensors,
          layout,
          folder,
          finished: new Map(),
          onShard: () => {},
        },
      ],
      { backend: BACKEND, budget: BUDGET, sync: false, map: true, measured: false },
      { onEvent: () => {} },
    );
    for (const [at, elements] of expected.entries()) {
      const bytes = await readFile(join(folder, `shard-${at}`));
      const found = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
      expect([...found]).toEqual(elements);
    }
  });
});

describe("the addon's decoder", () => {
  const open = (path: string): NativeJob =>
    createJob({
      sources: [{ path, size: 4 * WORDS }],
      backend: BACKEND,
      threads: 1,
      lanes: 2,
      ahead: 0,
      tileBytes: 4096,
      keptBytes: 0,
      sync: false,
      map: true,
    });

  /** Adds a hashed-only shard; true if the decoder took it. */
  function accepts(job: NativeJob, program: Float64Array, nbytes: number): boolean {
    try {
      job.addShard({ id: 0, path: "", fileOffset: 0, truncate: false, nbytes, measured: false, program });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "E_PROGRAM" });
      return false;
    }
  }

  async function sourceFile(): Promise<string> {
    const path = join(await tempFolder(), "source");
    await writeFile(path, new Uint8Array(4 * WORDS));
    return path;
  }

  it("refuses random numbers with a code, whatever they are", async () => {
    const job = open(await sourceFile());
    const number = fc.oneof(
      fc.nat(14),
      fc.constantFrom(0, 1, 2, -1, 0.5, 32, 33, 44, 45, 255, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e300),
      fc.double(),
    );
    fc.assert(
      fc.property(fc.array(number, { maxLength: 60 }), fc.nat(2000), (numbers, nbytes) => {
        accepts(job, Float64Array.from(numbers), nbytes);
      }),
      { numRuns: 3000, seed: 3 },
    );
  });

  it("refuses or carries out a sound program of which one number was changed", async () => {
    const path = await sourceFile();
    const info: TensorInfo = {
      name: "t",
      dtype: "float32",
      shape: [8, 64],
      file: 0,
      byteOffset: 0,
      nbytes: 2048,
    };
    const value = evaluate({ op: "source", name: "t" }, () => info);
    const base = { ...outputTensor("o", value), modelDType: "float16" } as const;
    const group = { bits: 4, group: 32, transposed: false, unroundedScale: false } as const;
    const kinds: readonly (readonly [OutputTensor, number])[] = [
      [{ ...base, dtype: "float16" }, 1024],
      [{ ...base, dtype: "uint32", encoding: { kind: "group-words", ...group } }, 256],
      [{ ...base, dtype: "float16", encoding: { kind: "group-scales", ...group } }, 32],
      [{ ...base, dtype: "uint32", encoding: { kind: "group-words", ...group, transposed: true } }, 256],
      [
        {
          ...base,
          dtype: "float8_e4m3fn",
          encoding: { kind: "fp8-values", format: "float8_e4m3fn", scaled: true },
        },
        512,
      ],
      [{ ...base, dtype: "int8", encoding: { kind: "ft-words", arch: 80 } }, 256],
      [{ ...base, dtype: "float16", encoding: { kind: "ft-scales" } }, 16],
      [{ ...base, dtype: "q8_0", modelDType: "float32", encoding: { kind: "ggml" } }, 544],
    ];
    const hostile = [
      0,
      1,
      2,
      3,
      4,
      5,
      7,
      8,
      9,
      31,
      32,
      33,
      40,
      63,
      64,
      65,
      128,
      255,
      256,
      512,
      4096,
      2 ** 20,
      2 ** 40,
    ];
    let ran = 0;
    for (const [tensor, nbytes] of kinds) {
      const shard = { path: "", fileOffset: 0, nbytes, tensors: [{ tensor: 0, byteOffset: 0, nbytes }] };
      const program = encodeShard([tensor], shard, { float32AsBfloat16: true, sources: [0] });
      expect(accepts(open(path), program, nbytes), tensor.encoding.kind).toBe(true);
      for (let at = 0; at < program.length; at++) {
        const job = open(path);
        const taken = hostile.filter((number) => accepts(job, program.with(at, number), nbytes));
        if (taken.length === 0) continue;
        ran += taken.length;
        await job.start(() => {}).catch((error: unknown) => expect(error).toHaveProperty("code"));
      }
    }
    expect(ran).toBeGreaterThan(50);
  });
});
