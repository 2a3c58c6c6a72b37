import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { GgufValue } from "../../src/core/gguf.ts";

/** Absolute path of a golden file. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`../golden/gguf/${name}`, import.meta.url));
}

/** A golden JSON file. */
export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), "utf8")) as T;
}

/** A metadata entry as golden files spell it: u64 and i64 as strings. */
export type GoldenEntry = readonly [key: string, type: string, value: unknown];

export function goldenEntry(key: string, value: GgufValue): GoldenEntry {
  if (value.type !== "arr") return [key, value.type, plain(value.value)];
  return [key, value.type, { of: value.of, values: Array.from<unknown>(value.values).map(plain) }];
}

function plain(value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
