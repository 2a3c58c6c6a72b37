import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, SourceError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { isObject, JsonSyntaxError, parseJson } from "../core/json.ts";

const LFS_POINTER = "version https://git-lfs.github.com/spec/";
const BYTE_ORDER_MARK = "\ufeff";
/** tokenizer.json of the largest published vocabularies is about 35 MB. */
const MAX_NBYTES = 512 * 1024 * 1024;

/** The folder that config.json and the tokenizer files lie in. */
export interface ConfigFolder {
  readonly path: string;
  /** Names of the files in it, sorted. */
  readonly names: readonly string[];
  readonly has: (name: string) => boolean;
  /** @throws {CheckpointError} E_LFS_POINTER, E_FILE_TOO_LARGE */
  readonly readBytes: (name: string) => Promise<Uint8Array>;
  /** UTF-8 text without a byte order mark. */
  readonly readText: (name: string) => Promise<string>;
  /** @throws {CheckpointError} E_JSON with file, line and column */
  readonly readJson: (name: string) => Promise<Json>;
  /** The file's object, or `undefined` when there is no such file. @throws {CheckpointError} E_JSON */
  readonly readObject: (name: string) => Promise<JsonObject | undefined>;
  /** What was odd about the files read so far, one sentence each. */
  readonly notices: () => readonly string[];
}

/**
 * Lists a folder once; files are read when asked for.
 * @throws {SourceError} E_CONFIG_FOLDER when it cannot be listed
 */
export async function openConfigFolder(path: string): Promise<ConfigFolder> {
  const names = await listFiles(path);
  const present = new Set(names);
  const marked = new Set<string>();
  const readBytes = (name: string): Promise<Uint8Array> => readChecked(path, name);
  const readText = async (name: string): Promise<string> => {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readBytes(name));
    if (!text.startsWith(BYTE_ORDER_MARK)) return text;
    marked.add(name);
    return text.slice(1);
  };
  const readJson = async (name: string): Promise<Json> => parseNamed(await readText(name), join(path, name));
  return {
    path,
    names,
    has: (name) => present.has(name),
    readBytes,
    readText,
    readJson,
    notices: () => [...marked].map((name) => `${name} begins with a byte order mark, which was ignored.`),
    readObject: async (name) => {
      if (!present.has(name)) return undefined;
      const value = await readJson(name);
      if (isObject(value)) return value;
      throw new CheckpointError("E_JSON", `${join(path, name)}: expected a JSON object at the top`);
    },
  };
}

async function listFiles(path: string): Promise<readonly string[]> {
  try {
    const names = await readdir(path);
    const kinds = await Promise.all(names.map(async (name) => (await stat(join(path, name))).isFile()));
    return names.filter((_, index) => kinds[index]).sort();
  } catch (cause) {
    throw new SourceError("E_CONFIG_FOLDER", `${path}: expected a folder that can be read`, { cause });
  }
}

async function readChecked(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  const { size } = await stat(path);
  if (size > MAX_NBYTES) {
    const message = `${path}: expected at most ${MAX_NBYTES} bytes, found ${size}`;
    throw new CheckpointError("E_FILE_TOO_LARGE", message);
  }
  const bytes = await readFile(path);
  if (bytes.subarray(0, LFS_POINTER.length).toString("latin1") === LFS_POINTER) {
    throw new CheckpointError(
      "E_LFS_POINTER",
      `${path}: expected the file itself, found a Git LFS pointer to it`,
      { hint: "Run `git lfs pull` in the checkout, or let mlc-convert download the repository." },
    );
  }
  return bytes;
}

function parseNamed(text: string, path: string): Json {
  try {
    return parseJson(text, { duplicates: "last-wins" });
  } catch (cause) {
    if (!(cause instanceof JsonSyntaxError)) throw cause;
    throw new CheckpointError("E_JSON", `${path}: ${cause.message}`, { cause });
  }
}
