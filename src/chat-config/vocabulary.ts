import type { JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";
import { vocabularyOf } from "./active-vocab.ts";

/** Tokens of a tokenizer.json by text and by id. */
export interface Vocabulary {
  /** Number of tokens; 0 when there is no tokenizer.json. */
  readonly size: number;
  readonly idOf: (token: string) => number | undefined;
  readonly tokenOf: (id: number) => string | undefined;
  /** True for an added token that is marked special. */
  readonly isSpecial: (id: number) => boolean;
  /** Added tokens, longest first. */
  readonly added: readonly string[];
  /** The longest added token that `text` begins with. */
  readonly addedTokenAt: (text: string) => string | undefined;
}

/** Indexes the vocabulary and the added tokens; an added token wins over a piece of the same id. */
export function readVocabulary(tokenizer: JsonObject): Vocabulary {
  const ids = vocabularyOf(tokenizer);
  const tokens = new Map<number, string>();
  for (const [token, id] of ids) tokens.set(id, token);
  const special = new Set<number>();
  const added: string[] = [];
  const entries = tokenizer.get("added_tokens");
  for (const entry of isArray(entries) ? entries : []) {
    if (!isObject(entry)) continue;
    const id = entry.get("id");
    const content = entry.get("content");
    if (typeof id !== "number" || typeof content !== "string") continue;
    ids.set(content, id);
    tokens.set(id, content);
    added.push(content);
    if (entry.get("special") === true) special.add(id);
  }
  added.sort((a, b) => b.length - a.length);
  return {
    size: ids.size,
    added,
    idOf: (token) => ids.get(token),
    tokenOf: (id) => tokens.get(id),
    isSpecial: (id) => special.has(id),
    addedTokenAt: (text) => added.find((token) => token !== "" && text.startsWith(token)),
  };
}
