import { spawn } from "node:child_process";
import { mkdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEMO_SIZES, llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { elementBytes, elementsOf } from "../../src/demo/synthetic-tensor.ts";
import { CLI } from "../support/cli.ts";
import { safetensorsFile } from "../support/safetensors.ts";
import { tempFolder } from "../support/temp-folder.ts";

const CEILING_KIB = 256 * 1024;
/** 1.5 GB of embedding in bfloat16, of which nothing is on the disk. */
const SIZES = { ...DEMO_SIZES, hiddenSize: 2048, layers: 1, vocabSize: 367_000 };

/** A checkpoint of zeros: the file's data is a hole. */
async function sparseModel(folder: string): Promise<string> {
  const model = join(folder, "model");
  await mkdir(model);
  const { files, config } = llamaCheckpoint(SIZES);
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

/** The highest anonymous memory that a process was seen with, looked at every few milliseconds until it ends. */
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

describe("a tensor of 1.5 GB", () => {
  it.skipIf(process.platform !== "linux").each(["--threads=2", "--no-mmap"])(
    "is converted within 256 MiB of anonymous memory (%s)",
    { timeout: 180_000 },
    async (option) => {
      const folder = await tempFolder();
      const model = await sparseModel(folder);
      const args = [
        model,
        "-q",
        "q4f16_1",
        "-o",
        join(folder, "out"),
        "--weights-only",
        "--no-fsync",
        option,
      ];
      const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "ignore", "inherit"] });
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
      const highest = await highestAnonymous(child.pid as number, ended);
      expect(await ended).toBe(0);
      expect(highest).toBeGreaterThan(10 * 1024);
      expect(highest).toBeLessThan(CEILING_KIB);
    },
  );
});
