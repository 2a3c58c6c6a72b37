import type { NamedFile } from "../core/byte-source.ts";
import { CheckpointError, listProblems } from "../core/errors.ts";
import { isObject, type Json, JsonSyntaxError, parseJson } from "../core/json.ts";

/** An index of 250 000 tensors takes about 30 MB. */
const MAX_INDEX_BYTES = 256_000_000;

/** What an index says. */
export interface WeightIndex {
  /** Tensor name → name of its file, in the order that decides the output's order. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** Every file once, in order of first appearance. */
  readonly fileNames: readonly string[];
}

/**
 * Reads `….index.json` by the rules of formats.md §1.4. Only `weight_map` counts; `metadata` is not trusted.
 *
 * @throws {CheckpointError} `E_INDEX_SYNTAX`, `E_INDEX_PATH`, `E_EMPTY_CHECKPOINT`
 */
export async function readWeightIndex(file: NamedFile): Promise<WeightIndex> {
  if (file.size > MAX_INDEX_BYTES) {
    throw syntaxError(`${file.name}: expected at most ${MAX_INDEX_BYTES} bytes, found ${file.size}`);
  }
  return parseWeightIndex(await file.read(0, file.size), file.name);
}

/** Parses an index that is already in memory. */
export function parseWeightIndex(bytes: Uint8Array, where: string): WeightIndex {
  const document = parseDocument(bytes, where);
  if (!isObject(document)) throw syntaxError(`${where}: expected a JSON object, found something else`);
  const weightMap = document.get("weight_map");
  if (!isObject(weightMap)) throw syntaxError(`${where}: expected an object "weight_map", found none`);
  if (!holdsTexts(weightMap)) {
    throw syntaxError(`${where}: expected a file name for every tensor in weight_map, found something else`);
  }
  if (weightMap.size === 0) {
    throw new CheckpointError("E_EMPTY_CHECKPOINT", `${where}: expected tensors in weight_map, found none`);
  }
  const fileNames = [...new Set(weightMap.values())];
  refuseStrayPaths(fileNames, where);
  return { weightMap, fileNames };
}

function holdsTexts(map: ReadonlyMap<string, Json>): map is ReadonlyMap<string, string> {
  for (const value of map.values()) if (typeof value !== "string") return false;
  return true;
}

function parseDocument(bytes: Uint8Array, where: string): Json {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof JsonSyntaxError ? cause.message : "the text is not UTF-8";
    throw syntaxError(`${where}: expected valid JSON, found: ${reason}`, cause);
  }
}

function refuseStrayPaths(fileNames: readonly string[], where: string): void {
  const stray = fileNames.filter((fileName) => !isPlainRelative(fileName));
  if (stray.length === 0) return;
  throw new CheckpointError(
    "E_INDEX_PATH",
    `${where}: expected plain file names inside the folder, found:\n${listProblems(stray.map((name) => JSON.stringify(name)))}`,
    { hint: "Do not trust this checkpoint; its index points outside its folder." },
  );
}

/** True for `a` and `a/b`; false for anything that could leave the folder or means another file elsewhere. */
function isPlainRelative(fileName: string): boolean {
  if (fileName.length > 1024 || /[\\\u0000-\u001f:]/.test(fileName)) return false;
  return fileName.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function syntaxError(message: string, cause?: unknown): CheckpointError {
  return new CheckpointError("E_INDEX_SYNTAX", message, { hint: "Fetch the index file again.", cause });
}
