import { readFile, stat } from "node:fs/promises";
import { join, normalize } from "node:path";
import { CheckpointError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { isArray, isObject, JsonSyntaxError, parseJson, toNumber } from "../core/json.ts";

/** A converted model as it lies on disk. */
export interface ModelDirectory {
  readonly path: string;
  /** mlc-chat-config.json. */
  readonly config: JsonObject;
  /** Name of the index, which older repositories call ndarray-cache.json. */
  readonly indexName: string;
  /** Bytes of all parameters in memory, as the index states them. */
  readonly paramBytes: number;
  readonly shardNames: readonly string[];
  readonly tokenizerNames: readonly string[];
}

const CONFIG_NAME = "mlc-chat-config.json";
const INDEX_NAMES = ["tensor-cache.json", "ndarray-cache.json"];

/**
 * Reads the two JSON files of a converted model.
 * @throws {CheckpointError} E_MODEL_DIRECTORY naming the file and what is wrong with it
 */
export async function openModelDirectory(path: string): Promise<ModelDirectory> {
  const config = await readObject(path, CONFIG_NAME);
  const indexName = await firstPresent(path, INDEX_NAMES);
  const index = await readObject(path, indexName);
  const metadata = index.get("metadata");
  const records = index.get("records");
  if (!isArray(records)) throw broken(path, indexName, 'expected a list "records"');
  const paramBytes = isObject(metadata) ? toNumber(metadata.get("ParamBytes")) : undefined;
  if (paramBytes === undefined) throw broken(path, indexName, "expected a number metadata.ParamBytes");
  return {
    path,
    config,
    indexName,
    paramBytes,
    shardNames: records.map((record) => checkName(path, indexName, fieldOf(record, "dataPath"))),
    tokenizerNames: listAt(config, "tokenizer_files").map((name) => checkName(path, CONFIG_NAME, name)),
  };
}

function fieldOf(value: Json, key: string): Json | undefined {
  return isObject(value) ? value.get(key) : undefined;
}

function listAt(object: JsonObject, key: string): readonly Json[] {
  const value = object.get(key);
  return isArray(value) ? value : [];
}

/** A name inside the folder; nothing else may be read or served because an index says so. */
function checkName(path: string, file: string, name: Json | undefined): string {
  const isInside =
    typeof name === "string" &&
    name !== "" &&
    !name.includes("\\") &&
    !name.startsWith("/") &&
    !normalize(name).startsWith("..");
  if (isInside) return name;
  throw broken(path, file, `expected the name of a file in the folder, found ${JSON.stringify(name)}`);
}

async function firstPresent(path: string, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const found = await stat(join(path, name)).catch(() => undefined);
    if (found?.isFile()) return name;
  }
  throw broken(path, names.join(" or "), "expected the index of a converted model, found nothing");
}

async function readObject(path: string, name: string): Promise<JsonObject> {
  try {
    const value = parseJson(await readFile(join(path, name), "utf8"));
    if (isObject(value)) return value;
  } catch (cause) {
    const reason = cause instanceof JsonSyntaxError ? cause.message : "expected a file that can be read";
    throw broken(path, name, reason, cause);
  }
  throw broken(path, name, "expected a JSON object");
}

function broken(path: string, name: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError("E_MODEL_DIRECTORY", `${join(path, name)}: ${problem}`, {
    cause,
    hint: "Name a folder that mlc-convert has written.",
  });
}
