import type { Json, JsonObject } from "../core/json.ts";
import { Float } from "../core/json.ts";

/** The nullable fields and what they are when no file says (chat-config.md §3). */
const SYSTEM_DEFAULTS: ReadonlyMap<string, Json> = new Map<string, Json>([
  ["temperature", new Float(1)],
  ["presence_penalty", new Float(0)],
  ["frequency_penalty", new Float(0)],
  ["repetition_penalty", new Float(1)],
  ["top_p", new Float(1)],
  ["pad_token_id", 0],
  ["bos_token_id", 1],
  ["eos_token_id", 2],
]);

export interface SamplingValues {
  /** The eight fields, each with a value, and `embedding_metadata`, which may be null. */
  readonly values: ReadonlyMap<string, Json>;
  /** Token id fields that no file named, so that they have the system default. */
  readonly defaultedIds: readonly string[];
}

/**
 * Fills sampling values and token ids from generation_config.json, then config.json, then the defaults.
 * Values are taken unchecked and unchanged; only top-level keys count (chat-config.md §3).
 * @param files the two files' objects in that order, those that exist
 */
export function fillSamplingValues(
  files: readonly JsonObject[],
  embeddingMetadata: JsonObject | null,
): SamplingValues {
  const values = new Map<string, Json>([["embedding_metadata", embeddingMetadata]]);
  for (const file of files) {
    for (const [key, value] of file) {
      const open = key === "embedding_metadata" || SYSTEM_DEFAULTS.has(key);
      if (open && (values.get(key) ?? null) === null) values.set(key, value);
    }
  }
  const missing = [...SYSTEM_DEFAULTS].filter(([key]) => (values.get(key) ?? null) === null);
  for (const [key, value] of missing) values.set(key, value);
  return { values, defaultedIds: missing.map(([key]) => key).filter((key) => key.endsWith("_id")) };
}
