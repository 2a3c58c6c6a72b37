import { PlanError } from "../../core/errors.ts";
import type { GgufText } from "../../core/gguf.ts";
import { isArray, isObject, type Json, type JsonObject } from "../../core/json.ts";
import type { GgufArchitecture } from "./model.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** Kinds of tokens as GGUF numbers them. */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

export interface Token {
  readonly text: GgufText;
  readonly score: number;
  readonly type: number;
}

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Tokens that some models do not mark as special but mean so. */
const LOOKS_SPECIAL = /^(<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<｜.*｜>|<unused.*)$/su;
const PAD_SCORE = -10_000;
const ADDED_SCORE = -1000;
const spaced = (text: string): string => text.replaceAll("▁", " ");

/** Tokens in id order; ids that nothing fills are unused. */
function padded(tokens: ReadonlyMap<number, Token>, vocabSize: number): readonly Token[] {
  return Array.from(
    { length: vocabSize },
    (_, id) => tokens.get(id) ?? { text: `[PAD${id}]`, score: PAD_SCORE, type: UNUSED },
  );
}

/** `added_tokens` of a tokenizer.json. */
export function addedTokens(tokenizer: JsonObject): readonly AddedToken[] {
  const list = tokenizer.get("added_tokens");
  return (isArray(list) ? list : []).flatMap((token) => addedToken(token));
}

function addedToken(token: Json, key?: string): readonly AddedToken[] {
  if (!isObject(token)) return [];
  const id = key === undefined ? token.get("id") : Number(key);
  const content = token.get("content");
  if (typeof id !== "number" || typeof content !== "string") return [];
  return [{ id, content, special: token.get("special") === true }];
}

function modelOf(tokenizer: JsonObject): { readonly vocab: JsonObject; readonly merges: readonly Json[] } {
  const model = tokenizer.get("model");
  const vocab = isObject(model) ? model.get("vocab") : undefined;
  const merges = isObject(model) ? model.get("merges") : undefined;
  if (isObject(vocab) && isArray(merges)) return { vocab, merges };
  throw new PlanError(
    "E_GGUF_TOKENIZER",
    "tokenizer.json: expected model.vocab and model.merges of a BPE model",
  );
}

/** Byte-level BPE: vocabulary tokens stay in the byte alphabet, added tokens are plain text. */
export function bpeTokens(tokenizer: JsonObject, vocabSize: number): readonly Token[] {
  const tokens = new Map<number, Token>();
  for (const [text, id] of modelOf(tokenizer).vocab) {
    if (typeof id === "number") tokens.set(id, { text, score: 0, type: NORMAL });
  }
  for (const { id, content, special } of addedTokens(tokenizer)) {
    const control = special || LOOKS_SPECIAL.test(content);
    tokens.set(id, {
      text: control ? content : spaced(content),
      score: 0,
      type: control ? CONTROL : USER_DEFINED,
    });
  }
  return padded(tokens, vocabSize);
}

/** Merges as "left right"; a space within a part is written as the byte alphabet's. */
export function mergesOf(tokenizer: JsonObject): readonly string[] {
  return modelOf(tokenizer).merges.map((merge) => {
    if (typeof merge === "string") return merge;
    if (isArray(merge) && merge.length === 2) {
      return merge.map((part) => String(part).replaceAll(" ", "Ġ")).join(" ");
    }
    throw new PlanError("E_GGUF_TOKENIZER", "tokenizer.json: a merge is neither a pair nor two words");
  });
}

/** SentencePiece from tokenizer.model and the files that amend it. */
export function spmTokensFromModel(
  files: TokenizerFiles,
  { architecture, vocabSize }: { readonly architecture: GgufArchitecture; readonly vocabSize: number },
): readonly Token[] {
  const tokens = new Map<number, Token>();
  const pieces = parseSentencePiece(files.tokenizerModel ?? new Uint8Array());
  for (const [id, piece] of pieces.entries()) {
    tokens.set(id, { ...piece, type: piece.type === USER_DEFINED ? NORMAL : piece.type });
  }
  for (const [text, id] of files.addedTokens ?? []) {
    if (typeof id === "number") tokens.set(id, { text, score: ADDED_SCORE, type: USER_DEFINED });
  }
  const phi = architecture === "phi3";
  const decoder = files.tokenizerConfig?.get("added_tokens_decoder");
  const added = isObject(decoder) ? [...decoder].flatMap(([id, token]) => addedToken(token, id)) : [];
  if (phi && files.tokenizerJson) added.push(...addedTokens(files.tokenizerJson));
  for (const { id, content, special } of added) {
    const control = special || (!phi && LOOKS_SPECIAL.test(content));
    const text = control || phi ? content : spaced(content);
    tokens.set(id, { text, score: ADDED_SCORE, type: control ? CONTROL : USER_DEFINED });
  }
  return padded(tokens, vocabSize);
}

/**
 * SentencePiece from tokenizer.json: a token's score is minus the place of its merge, as tokenizer.model holds it.
 * (The reference converter gives every token the same score, so that loaders merge by position, not by rank.)
 */
export function spmTokensFromJson(tokenizer: JsonObject, vocabSize: number): readonly Token[] {
  const { vocab } = modelOf(tokenizer);
  const ranks = new Map<string, number>();
  for (const merge of mergesOf(tokenizer)) {
    const result = merge.replace(" ", "");
    if (!ranks.has(result)) ranks.set(result, ranks.size);
  }
  const tokens = new Map<number, Token>();
  let below = ranks.size;
  for (const [text, id] of [...vocab].sort((a, b) => Number(a[1]) - Number(b[1]))) {
    if (typeof id !== "number") continue;
    const type = /^<0x[0-9A-F]{2}>$/.test(text) ? BYTE : NORMAL;
    const score = type === BYTE ? 0 : -(ranks.get(text) ?? below++);
    tokens.set(id, { text, score, type });
  }
  for (const { id, content, special } of addedTokens(tokenizer)) {
    tokens.set(id, {
      text: special ? content : spaced(content),
      score: special ? 0 : ADDED_SCORE,
      type: special ? CONTROL : USER_DEFINED,
    });
  }
  return padded(tokens, vocabSize);
}
