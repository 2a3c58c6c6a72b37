import { spawn } from "node:child_process";
import { mkdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEMO_SIZES, type LlamaSizes, llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { elementBytes, elementsOf } from "../../src/demo/synthetic-tensor.ts";
import { CLI } from "../support/cli.ts";
import { safetensorsFile } from "../support/safetensors.ts";
import { tempFolder } from "../support/temp-folder.ts";

const MIB_IN_KIB = 1024;
/** 1.5 GB of embedding in bfloat16. */
const LARGE_TENSOR: LlamaSizes = { ...DEMO_SIZES, hiddenSize: 2048, layers: 1, vocabSize: 367_000 };
/** The shapes of Llama-3-70B: 139 GB in 723 tensors. */
const LLAMA_70B: LlamaSizes = {
  hiddenSize: 8192,
  intermediateSize: 28_672,
  layers: 80,
  heads: 64,
  keyValueHeads: 8,
  headDim: 128,
  vocabSize: 128_256,
};

/** A checkpoint of zeros, of which nothing is on the disk: the file's data is a hole. */
async function sparseModel(folder: string, sizes: LlamaSizes): Promise<string> {
  const model = join(folder, "model");
  await mkdir(model);
  const { files, config } = llamaCheckpoint(sizes);
  await writeFile(join(model, "config.json"), JSON.stringify(config));
  let end = 0;
  const entries = (files[0]?.tensors ?? []).map((tensor) => {
    const start = end;
    end += elementsOf(tensor) * elementBytes(tensor.dtype);
    return [tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [start, end] }];
  });
  const path = join(model, "model.safetensors");
  await writeFile(path, safetensorsFile(Object.fromEntries(entries), 0));
  await truncate(path, (await stat(path)).size + end);
  return model;
}

/** The highest anonymous memory in KiB that a process was seen with, looked at every few milliseconds until it ends. */
async function highestAnonymous(pid: number, ended: Promise<unknown>): Promise<number> {
  let running = true;
  let highest = 0;
  void ended.then(() => {
    running = false;
  });
  while (running) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    highest = Math.max(highest, Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return highest;
}

/** Runs the command line to its successful end; the highest anonymous memory in KiB. */
async function memoryOf(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const highest = await highestAnonymous(child.pid as number, ended);
  expect(await ended).toBe(0);
  expect(highest).toBeGreaterThan(10 * MIB_IN_KIB);
  return highest;
}

/** Options, and the MiB that they promise. */
const LIMITS: readonly [options: readonly string[], mib: number][] = [
  [["--threads=2"], 256],
  [["--no-mmap"], 256],
  [["--max-memory=128M"], 128],
];

const onLinux = it.skipIf(process.platform !== "linux");

describe("a conversion's anonymous memory", () => {
  onLinux.each(LIMITS)(
    "stays below its limit for a tensor of 1.5 GB (%j: %d MiB)",
    { timeout: 180_000 },
    async (options, mib) => {
      const folder = await tempFolder();
      const model = await sparseModel(folder, LARGE_TENSOR);
      const fixed = ["-q", "q4f16_1", "-o", join(folder, "out"), "--weights-only", "--no-fsync"];
      expect(await memoryOf([model, ...fixed, ...options])).toBeLessThan(mib * MIB_IN_KIB);
    },
  );

  onLinux.each(LIMITS)(
    "stays below its limit for the first shards of a 70B model (%j: %d MiB)",
    { timeout: 180_000 },
    async (options, mib) => {
      const folder = await tempFolder();
      const model = await sparseModel(folder, LLAMA_70B);
      const fixed = ["-q", "q4f16_1", "-o", join(folder, "out"), "--weights-only", "--no-fsync"];
      const highest = await memoryOf([model, ...fixed, "--only-shards", "0-8", ...options]);
      expect(highest).toBeLessThan(mib * MIB_IN_KIB);
    },
  );

  onLinux("of planning a 70B model stays below 128 MiB", { timeout: 60_000 }, async () => {
    const model = await sparseModel(await tempFolder(), LLAMA_70B);
    expect(await memoryOf(["plan", model, "-q", "q4f16_1"])).toBeLessThan(128 * MIB_IN_KIB);
  });
});
