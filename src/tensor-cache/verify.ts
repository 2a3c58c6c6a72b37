import { stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { elementCount } from "../core/dtype.ts";
import { type IndexedShard, type IndexedTensor, readIndex } from "./read-index.ts";

/** Something that is wrong with a converted model: where, and what. */
export interface Fault {
  readonly file: string;
  readonly problem: string;
}

export interface VerifyResult {
  readonly index: string;
  readonly shards: number;
  readonly tensors: number;
  readonly nbytes: number;
  /** Empty: the folder is sound. */
  readonly faults: readonly Fault[];
}

/** MD5s of files; `undefined` where there is no file. */
export type HashFiles = (paths: readonly string[]) => Promise<readonly (string | undefined)[]>;

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float16: 2,
  bfloat16: 2,
  float32: 4,
  uint32: 4,
  int8: 1,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
};

/**
 * Checks a converted model against its index: files, sizes, hashes, and that the tensors of every shard lie
 * one behind the other without holes (formats.md §3.7).
 * @throws {OutputError} where there is no readable index
 */
export async function verifyTensorCache(folder: string, hash: HashFiles): Promise<VerifyResult> {
  const { file: index, shards } = await readIndex(folder);
  const faults: Fault[] = [...nameFaults(index, shards)];
  const safe = shards.filter((shard) => isInside(shard.dataPath));
  for (const shard of shards) {
    if (!safe.includes(shard)) faults.push({ file: index, problem: `${shard.dataPath} leaves the folder` });
    faults.push(...recordFaults(shard));
  }
  const digests = await hash(safe.map(({ dataPath }) => join(folder, dataPath)));
  for (const [at, shard] of safe.entries()) faults.push(...(await fileFaults(folder, shard, digests[at])));
  return {
    index,
    shards: shards.length,
    tensors: shards.reduce((sum, { records }) => sum + records.length, 0),
    nbytes: shards.reduce((sum, { nbytes }) => sum + nbytes, 0),
    faults,
  };
}

function isInside(path: string): boolean {
  return !isAbsolute(path) && !path.includes("\\") && !path.includes("\0") && !path.split("/").includes("..");
}

function nameFaults(index: string, shards: readonly IndexedShard[]): readonly Fault[] {
  const seen = new Set<string>();
  return shards.flatMap(({ records }) =>
    records.flatMap(({ name }) => {
      if (!seen.has(name)) {
        seen.add(name);
        return [];
      }
      return [{ file: index, problem: `${name} is listed twice` }];
    }),
  );
}

function recordFaults({ dataPath, nbytes, records }: IndexedShard): readonly Fault[] {
  const faults: Fault[] = [];
  const fault = (problem: string): number => faults.push({ file: dataPath, problem });
  let end = 0;
  for (const record of records) {
    const expected = storedBytes(record);
    if (expected === undefined) fault(`${record.name}: unknown dtype ${record.dtype}`);
    else if (expected !== record.nbytes)
      fault(`${record.name}: expected ${expected} bytes, found ${record.nbytes}`);
    if (record.byteOffset !== end)
      fault(`${record.name}: expected at byte ${end}, found at ${record.byteOffset}`);
    end = record.byteOffset + record.nbytes;
  }
  if (end !== nbytes) fault(`tensors end at byte ${end}, the file at ${nbytes}`);
  return faults;
}

function storedBytes({ dtype, format, shape }: IndexedTensor): number | undefined {
  const narrowed = dtype === "float32" && format === "f32-to-bf16";
  const bytes = narrowed ? 2 : ELEMENT_BYTES[dtype];
  return bytes === undefined ? undefined : bytes * elementCount(shape);
}

async function fileFaults(
  folder: string,
  shard: IndexedShard,
  digest: string | undefined,
): Promise<readonly Fault[]> {
  const { dataPath: file, nbytes, md5sum } = shard;
  const found = await stat(join(folder, file)).catch(() => undefined);
  if (!found?.isFile()) return [{ file, problem: "the file is missing" }];
  if (found.size !== nbytes) return [{ file, problem: `expected ${nbytes} bytes, found ${found.size}` }];
  return digest === md5sum ? [] : [{ file, problem: `expected MD5 ${md5sum}, found ${digest}` }];
}
