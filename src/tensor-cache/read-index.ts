import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DType } from "../core/dtype.ts";
import { OutputError } from "../core/errors.ts";
import { isArray, isObject, type Json, type JsonObject, parseJson, toNumber } from "../core/json.ts";

export interface IndexedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly format: string;
  readonly nbytes: number;
  readonly byteOffset: number;
}

export interface IndexedShard {
  readonly dataPath: string;
  readonly nbytes: number;
  readonly md5sum: string;
  readonly records: readonly IndexedTensor[];
}

export interface TensorCacheIndex {
  /** Name of the file that was read. */
  readonly file: string;
  readonly shards: readonly IndexedShard[];
}

/** Today's name first, then the one of older repositories. */
const NAMES = ["tensor-cache.json", "ndarray-cache.json"];

/**
 * Reads the index of a converted model.
 * @throws {OutputError} `E_INDEX_MISSING`, `E_INDEX_MALFORMED` with the place in the document
 */
export async function readIndex(folder: string): Promise<TensorCacheIndex> {
  for (const file of NAMES) {
    const text = await readFile(join(folder, file), "utf8").catch(() => undefined);
    if (text !== undefined) return { file, shards: parseIndex(text, join(folder, file)) };
  }
  throw new OutputError("E_INDEX_MISSING", `${folder}: expected ${NAMES.join(" or ")}, found neither`, {
    hint: "name a folder that a conversion has finished",
  });
}

function parseIndex(text: string, where: string): readonly IndexedShard[] {
  const fail = (what: string, cause?: unknown): OutputError =>
    new OutputError("E_INDEX_MALFORMED", `${where}: ${what}`, { cause, hint: "convert the model again" });
  try {
    const document = parseJson(text);
    const records = isObject(document) ? document.get("records") : undefined;
    if (!isArray(records)) throw fail("expected an object with a list of records");
    return records.map((record, at) => shardOf(record, `records[${at}]`));
  } catch (cause) {
    throw cause instanceof OutputError ? cause : fail((cause as Error).message, cause);
  }
}

function shardOf(value: Json, where: string): IndexedShard {
  const shard = objectAt(value, where);
  const records = shard.get("records");
  if (!isArray(records)) throw new TypeError(`${where}.records is no list`);
  return {
    dataPath: textAt(shard, "dataPath", where),
    nbytes: numberAt(shard, "nbytes", where),
    md5sum: textAt(shard, "md5sum", where),
    records: records.map((record, at) => tensorOf(record, `${where}.records[${at}]`)),
  };
}

function tensorOf(value: Json, where: string): IndexedTensor {
  const record = objectAt(value, where);
  const shape = record.get("shape");
  if (!isArray(shape)) throw new TypeError(`${where}.shape is no list`);
  return {
    name: textAt(record, "name", where),
    shape: shape.map((extent) => toNumber(extent) ?? Number.NaN),
    dtype: textAt(record, "dtype", where) as DType,
    format: textAt(record, "format", where),
    nbytes: numberAt(record, "nbytes", where),
    byteOffset: numberAt(record, "byteOffset", where),
  };
}

function objectAt(value: Json, where: string): JsonObject {
  if (!isObject(value)) throw new TypeError(`${where} is no object`);
  return value;
}

function textAt(object: JsonObject, key: string, where: string): string {
  const value = object.get(key);
  if (typeof value !== "string") throw new TypeError(`${where}.${key} is no string`);
  return value;
}

function numberAt(object: JsonObject, key: string, where: string): number {
  const value = object.get(key);
  if (typeof value !== "number" || value < 0) throw new TypeError(`${where}.${key} is no size`);
  return value;
}
