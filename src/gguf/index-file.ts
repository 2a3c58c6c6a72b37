import { createHash } from "node:crypto";
import { OutputError } from "../core/errors.ts";
import { formatJson, isArray, isObject, type Json, parseJson, toNumber } from "../core/json.ts";
import type { FileFrame, Layout, ShardResult } from "../core/layout.ts";

/** Lies in a folder of GGUF files and has the hashes that the format itself has no place for. */
export const GGUF_INDEX_NAME = "gguf-index.json";

/** A run of a file's bytes with its hash. */
export interface GgufSegment {
  readonly start: number;
  readonly nbytes: number;
  /** 32 lower-case hexadecimal digits. */
  readonly md5: string;
}

/** One file; what its segments leave out is zero. */
export interface IndexedGguf {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** By place, without overlaps. */
  readonly segments: readonly GgufSegment[];
}

/** What was written, file by file: headers and constants, and the shards as they were hashed on the way. */
export function indexedGguf(
  frames: readonly FileFrame[],
  { shards }: Layout,
  results: readonly ShardResult[],
): readonly IndexedGguf[] {
  return frames.map(({ path: name, size, parts }) => {
    const known = parts.map(({ fileOffset, bytes }) => ({
      start: fileOffset,
      nbytes: bytes.length,
      md5: createHash("md5").update(bytes).digest("hex"),
    }));
    const made = shards.flatMap(({ path, fileOffset, nbytes }, index) =>
      path === name ? [{ start: fileOffset, nbytes, md5: results[index]?.md5 ?? "" }] : [],
    );
    return { name, size, segments: [...known, ...made].sort((a, b) => a.start - b.start) };
  });
}

/** The text of the index. */
export function formatGgufIndex(files: readonly IndexedGguf[]): string {
  const rows = files.map(
    ({ name, size, segments }): Json =>
      new Map<string, Json>([
        ["name", name],
        ["nbytes", size],
        ["segments", segments.map(({ start, nbytes, md5 }): Json => [start, nbytes, md5])],
      ]),
  );
  return `${formatJson(
    new Map<string, Json>([
      ["version", 1],
      ["files", rows],
    ]),
    1,
  )}\n`;
}

/**
 * Reads an index.
 * @throws {OutputError} `E_GGUF_INDEX`
 */
export function parseGgufIndex(text: string): readonly IndexedGguf[] {
  const json = parsed(text);
  const files = isObject(json) && json.get("version") === 1 ? json.get("files") : undefined;
  if (!isArray(files)) throw broken("it lists no files");
  return files.map((file) => {
    const name = isObject(file) ? file.get("name") : undefined;
    const size = isObject(file) ? toNumber(file.get("nbytes")) : undefined;
    const segments = isObject(file) ? file.get("segments") : undefined;
    if (typeof name !== "string" || !isPlainName(name) || size === undefined || !isArray(segments)) {
      throw broken("a file lacks its name, its size or its segments");
    }
    return { name, size, segments: segments.map(segmentOf) };
  });
}

const isPlainName = (name: string): boolean => !/[/\\\0]/.test(name) && name !== "..";

function segmentOf(row: Json): GgufSegment {
  const [start, nbytes, md5] = isArray(row) ? row : [];
  const [from, length] = [toNumber(start), toNumber(nbytes)];
  if (from === undefined || length === undefined || typeof md5 !== "string") {
    throw broken("a segment is no start, length and MD5");
  }
  return { start: from, nbytes: length, md5 };
}

function parsed(text: string): Json {
  try {
    return parseJson(text);
  } catch (cause) {
    throw broken(`it is no JSON: ${(cause as Error).message}`, cause);
  }
}

const broken = (why: string, cause?: unknown): OutputError =>
  new OutputError("E_GGUF_INDEX", `${GGUF_INDEX_NAME} cannot be used: ${why}`, {
    cause,
    hint: "convert again, or verify the .gguf file alone",
  });
