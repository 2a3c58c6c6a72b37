import type { Json, JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";

/** The parsed tokenizer files that decide how many entries a tokenizer has. */
export interface TokenizerDocuments {
  readonly tokenizer: JsonObject;
  readonly tokenizerConfig?: JsonObject | undefined;
  readonly specialTokensMap?: JsonObject | undefined;
  readonly addedTokens?: JsonObject | undefined;
}

const NAMED_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** The number of distinct strings that the tokenizer knows (chat-config.md §5). */
export function countActiveVocabulary(documents: TokenizerDocuments): number {
  const { tokenizer, tokenizerConfig = new Map(), addedTokens = new Map() } = documents;
  const strings = new Set<string>(vocabularyOf(tokenizer).keys());
  const add = (values: Iterable<Json>): void => {
    for (const value of values) {
      const text = tokenText(value);
      if (text) strings.add(text);
    }
  };
  add(listOf(tokenizer.get("added_tokens")));
  add(namedTokens(documents).values());
  const decoder: Json | undefined = tokenizerConfig.get("added_tokens_decoder");
  add(listOf(decoder));
  add(listOf(tokenizerConfig.get("additional_special_tokens")));
  add(listOf(tokenizerConfig.get("extra_special_tokens")));
  if (!tokenizerConfig.has("added_tokens_decoder")) for (const key of addedTokens.keys()) strings.add(key);
  return strings.size;
}

/**
 * Named special tokens: those of tokenizer_config.json, each replaced by special_tokens_map.json's where
 * tokenizer_config.json has no `added_tokens_decoder`.
 */
export function namedTokens(
  documents: Pick<TokenizerDocuments, "tokenizerConfig" | "specialTokensMap">,
): ReadonlyMap<string, Json> {
  const { tokenizerConfig = new Map<string, Json>(), specialTokensMap = new Map<string, Json>() } = documents;
  const usesMap = !tokenizerConfig.has("added_tokens_decoder");
  const named = new Map<string, Json>();
  for (const name of NAMED_TOKENS) {
    const value = (usesMap ? specialTokensMap.get(name) : undefined) ?? tokenizerConfig.get(name);
    if (value !== undefined && value !== null) named.set(name, value);
  }
  return named;
}

/** Token → id of the model's vocabulary; a Unigram entry's id is its position. */
export function vocabularyOf(tokenizer: JsonObject): Map<string, number> {
  const model = tokenizer.get("model");
  const vocabulary = isObject(model) ? model.get("vocab") : undefined;
  const ids = new Map<string, number>();
  if (isObject(vocabulary)) {
    for (const [token, id] of vocabulary) if (typeof id === "number") ids.set(token, id);
  } else {
    for (const [id, pair] of listOf(vocabulary).entries()) {
      const token = isArray(pair) ? pair[0] : undefined;
      if (typeof token === "string") ids.set(token, id);
    }
  }
  return ids;
}

/** A token's text: a string itself, or the `content` of an object. */
export function tokenText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  const content = isObject(value) ? value.get("content") : undefined;
  return typeof content === "string" ? content : undefined;
}

/** Members of a list, values of an object, nothing for anything else. */
function listOf(value: Json | undefined): readonly Json[] {
  if (isArray(value)) return value;
  return isObject(value) ? [...value.values()] : [];
}
