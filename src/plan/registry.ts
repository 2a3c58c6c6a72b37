import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { PlanError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Architecture } from "./architecture.ts";

/** Seen from any folder beside plan/: the packed package has this module in chunks/. */
const FOLDER = new URL("../plan/architectures/", import.meta.url);
/** `.ts` when the sources run as they are, `.js` compiled, `.cjs` in the package. */
const ENDING = extname(fileURLToPath(import.meta.url));

const require = createRequire(import.meta.url);

let keys: readonly string[] | undefined;

/** The keys of all architectures, sorted: one file in architectures/ each, called after its key. */
export function architectureKeys(): readonly string[] {
  keys ??= readdirSync(FOLDER)
    .filter((file) => file.endsWith(ENDING) && !file.endsWith(`.d${ENDING}`))
    .map((file) => file.slice(0, -ENDING.length))
    .sort();
  return keys;
}

/**
 * Loads one architecture.
 * @throws {PlanError} `E_UNKNOWN_ARCHITECTURE` with all keys and the nearest one
 */
export async function architectureOf(key: string): Promise<Architecture> {
  if (!architectureKeys().includes(key)) throw unknownArchitecture(key);
  const file = new URL(`${encodeURIComponent(key)}${ENDING}`, FOLDER);
  const module: unknown = ENDING === ".cjs" ? require(fileURLToPath(file)) : await import(file.href);
  return (module as { readonly architecture: Architecture }).architecture;
}

/** Loads every architecture, in the order of the keys. */
export function listArchitectures(): Promise<readonly Architecture[]> {
  return Promise.all(architectureKeys().map(architectureOf));
}

/** The error for a key that no file has; `guess` is what it probably means. */
export function unknownArchitecture(key: string, guess?: string): PlanError {
  const meant = guess ?? nearest(key, architectureKeys());
  const suggestion = meant === undefined ? "" : `did you mean "${meant}"? `;
  return new PlanError("E_UNKNOWN_ARCHITECTURE", `unknown model type "${key}"`, {
    hint: `${suggestion}name one with --model-type: ${architectureKeys().join(", ")}`,
  });
}
