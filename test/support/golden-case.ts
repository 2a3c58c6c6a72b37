import { readFile } from "node:fs/promises";
import type { SourceFormat } from "../../src/core/tensor-info.ts";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";
import type { SyntheticDType, SyntheticTensor } from "../../src/demo/synthetic-tensor.ts";

/** A recorded conversion, or upstream's refusal. Shards are `[path, nbytes, md5, [[name, dtype, shape, offset, nbytes, md5], …]]`. */
export type GoldenConversion =
  | { readonly error: string; readonly message: string }
  | {
      readonly metadata: string;
      readonly files: readonly string[];
      readonly tensorCacheMd5: string;
      readonly tensorCacheB16Md5?: string;
      readonly shards: readonly GoldenShard[];
    };
export type GoldenShard = readonly [string, number, string, readonly GoldenTensor[]];
export type GoldenTensor = readonly [string, string, readonly number[], number, number, string];

/** A recorded case: how to rebuild its input, and what upstream made of it. */
export interface GoldenCase {
  readonly id: string;
  readonly architecture: string;
  readonly sourceFormat: Exclude<SourceFormat, "gguf">;
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: readonly {
    readonly name: string;
    readonly tensors: readonly (readonly [string, SyntheticDType, readonly number[]])[];
  }[];
  readonly weightMap: readonly (readonly [string, number])[];
  readonly index?: false;
  readonly fill?: Readonly<Record<string, number>>;
  readonly conversions: Readonly<Record<string, GoldenConversion>>;
}

/** Reads a case file. */
export async function readGoldenCase(file: string | URL): Promise<GoldenCase> {
  return JSON.parse(await readFile(file, "utf8")) as GoldenCase;
}

/** Rebuilds a case's input files, index and config.json in an existing folder. AWQ cases have no index. */
export async function buildGoldenCase(golden: GoldenCase, folder: string): Promise<void> {
  const indexed = golden.index !== false && golden.sourceFormat !== "awq";
  const fileName = (index: number): string => golden.files[index]?.name ?? "";
  await writeSyntheticCheckpoint(folder, {
    files: golden.files.map((file) => ({
      name: file.name,
      tensors: file.tensors.map(([name, dtype, shape]): SyntheticTensor => ({ name, dtype, shape })),
    })),
    config: golden.config,
    ...(indexed && { weightMap: golden.weightMap.map(([name, file]) => [name, fileName(file)] as const) }),
    ...(golden.fill && { fill: golden.fill }),
  });
}
