import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import { encodeShard } from "../../src/execute/program.ts";
import type { JobOptions, JobShard } from "../../src/native/addon.ts";
import { evaluate } from "../../src/plan/value.ts";
import { tempFolder } from "./temp-folder.ts";

/** A file, and what a job needs that copies it, or only hashes it. */
export interface CopyWork {
  readonly path: string;
  readonly nbytes: number;
  readonly options: JobOptions;
  readonly program: Float64Array;
  readonly md5: string;
}

/** Writes a file of `nbytes` bytes in a folder of its own. */
export async function copyWork(nbytes: number): Promise<CopyWork> {
  const path = join(await tempFolder(), "source");
  const bytes = Buffer.alloc(nbytes, "0123456789abcde");
  await writeFile(path, bytes);
  const info: TensorInfo = {
    name: "t",
    dtype: "uint8",
    shape: [nbytes],
    file: 0,
    byteOffset: 0,
    nbytes,
  };
  const value = evaluate({ op: "source", name: "t" }, () => info);
  const tensor = {
    ...{ name: "t", parameter: "t", shape: [nbytes], sources: [], rows: 1, cols: nbytes },
    ...({ dtype: "uint8", modelDType: "uint8", encoding: { kind: "raw" }, value } as const),
  };
  const placed = { tensor: 0, byteOffset: 0, nbytes };
  const shard = { path: "s", fileOffset: 0, nbytes, tensors: [placed] };
  const sources = [{ path, size: nbytes }];
  const limits = { threads: 2, lanes: 2, ahead: 1, tileBytes: 4096, keptBytes: 0 };
  return {
    path,
    nbytes,
    options: { sources, backend: "reference", ...limits, sync: false, map: true },
    program: encodeShard([tensor], shard, { float32AsBfloat16: false, sources: [0] }),
    md5: createHash("md5").update(bytes).digest("hex"),
  };
}

/** One copy of the file. Without an output file its bytes are only hashed. */
export const shardOf = ({ program, nbytes }: CopyWork, id: number, output = ""): JobShard => ({
  ...{ id, path: output, fileOffset: 0, truncate: true, nbytes, measured: false, program },
});
