import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DEMO_SIZES, type LlamaSizes, llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";

/** A few hundred kilobytes: one shard. */
export const SMALL_SIZES: LlamaSizes = { ...DEMO_SIZES, layers: 1, vocabSize: 256 };

/** About 100 MB of weights in several shards. */
export const SEVERAL_SHARDS: LlamaSizes = {
  hiddenSize: 1024,
  intermediateSize: 4096,
  layers: 2,
  heads: 16,
  keyValueHeads: 8,
  headDim: 64,
  vocabSize: 14_000,
};

/** Writes a synthetic llama into `folder`/model and returns its path. */
export async function writeModel(folder: string, sizes: LlamaSizes = SMALL_SIZES): Promise<string> {
  const model = join(folder, "model");
  await mkdir(model, { recursive: true });
  await writeSyntheticCheckpoint(model, llamaCheckpoint(sizes));
  return model;
}

/** File name → SHA-256 of every file in a folder. */
export async function digests(folder: string): Promise<Readonly<Record<string, string>>> {
  const names = (await readdir(folder)).sort();
  const entries = names.map(async (name): Promise<[string, string]> => {
    return [
      name,
      createHash("sha256")
        .update(await readFile(join(folder, name)))
        .digest("hex"),
    ];
  });
  return Object.fromEntries(await Promise.all(entries));
}
