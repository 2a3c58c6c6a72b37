import type { Json, JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";
import { tokenText } from "./active-vocab.ts";
import type { SentencePieceModel } from "./sentencepiece-model.ts";

/** An entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

type Flags = Omit<AddedToken, "id" | "content">;
const NO_FLAGS: Flags = {
  singleWord: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: false,
};

/** The named special tokens of a tokenizer, as tokenizer_config.json and the class give them. */
export interface SpecialTokens {
  readonly bos: Json;
  readonly eos: Json;
  readonly unk: Json;
  readonly pad: Json;
}

export interface AddedTokensInput {
  readonly model: SentencePieceModel;
  /** Piece → id after renaming. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly special: SpecialTokens;
  readonly config: JsonObject;
  readonly addedTokens: JsonObject | undefined;
  /** Further special tokens that the class adds when they are missing. */
  readonly classTokens: readonly string[];
  /** User-defined pieces that are special nevertheless. */
  readonly specialPieces: ReadonlySet<string>;
}

/** Builds `added_tokens`, sorted by id (chat-config.md §9.4). */
export function buildAddedTokens(input: AddedTokensInput): readonly AddedToken[] {
  const list = new TokenList(input.vocabulary);
  for (const piece of input.model.pieces) {
    if (piece.kind !== "control" && piece.kind !== "user-defined") continue;
    const special = piece.kind === "control" || input.specialPieces.has(piece.text);
    list.add(piece.text, { ...NO_FLAGS, special });
  }
  const decoder = input.config.get("added_tokens_decoder");
  const named = namedValues(input);
  if (isObject(decoder)) addDecoder(list, decoder);
  else addFile(list, input.addedTokens ?? new Map(), named);
  for (const value of named) addNamed(list, value, !isObject(decoder));
  for (const content of input.classTokens) if (!list.has(content)) list.markSpecial(content);
  return list.sorted();
}

/** The entry as it is written. */
export function addedTokenToJson(token: AddedToken): JsonObject {
  return new Map<string, Json>([
    ["id", token.id],
    ["content", token.content],
    ["single_word", token.singleWord],
    ["lstrip", token.lstrip],
    ["rstrip", token.rstrip],
    ["normalized", token.normalized],
    ["special", token.special],
  ]);
}

class TokenList {
  private readonly tokens = new Map<string, AddedToken>();
  private readonly vocabulary: ReadonlyMap<string, number>;

  constructor(vocabulary: ReadonlyMap<string, number>) {
    this.vocabulary = vocabulary;
  }

  has(content: string): boolean {
    return this.tokens.has(content);
  }

  add(content: string, flags: Flags): void {
    const id = this.tokens.get(content)?.id ?? this.vocabulary.get(content) ?? this.nextId();
    this.tokens.set(content, { id, content, ...flags });
  }

  markSpecial(content: string): void {
    const present = this.tokens.get(content) ?? NO_FLAGS;
    this.add(content, { ...present, special: true });
  }

  sorted(): readonly AddedToken[] {
    return [...this.tokens.values()].sort((a, b) => a.id - b.id);
  }

  private nextId(): number {
    let next = this.vocabulary.size;
    for (const { id } of this.tokens.values()) next = Math.max(next, id + 1);
    return next;
  }
}

function namedValues({ special, config }: AddedTokensInput): readonly Json[] {
  const additional = config.get("additional_special_tokens");
  return [special.bos, special.eos, special.unk, special.pad, ...(isArray(additional) ? additional : [])];
}

function addDecoder(list: TokenList, decoder: JsonObject): void {
  const entries = [...decoder].sort(([a], [b]) => Number(a) - Number(b));
  for (const [, entry] of entries) {
    const content = tokenText(entry);
    if (content !== undefined && isObject(entry)) list.add(content, flagsOf(entry));
  }
}

function addFile(list: TokenList, file: JsonObject, named: readonly Json[]): void {
  const special = new Set(named.map(tokenText));
  const entries = [...file].sort(([, a], [, b]) => Number(a) - Number(b));
  for (const [content] of entries) {
    const isSpecial = special.has(content);
    list.add(content, { ...NO_FLAGS, special: isSpecial, normalized: !isSpecial });
  }
}

function addNamed(list: TokenList, value: Json, objectsCount: boolean): void {
  const content = tokenText(value);
  if (content === undefined) return;
  if (objectsCount && isObject(value)) list.add(content, { ...flagsOf(value), special: true });
  else list.markSpecial(content);
}

function flagsOf(entry: JsonObject): Flags {
  const flag = (name: string): boolean => entry.get(name) === true;
  return {
    singleWord: flag("single_word"),
    lstrip: flag("lstrip"),
    rstrip: flag("rstrip"),
    normalized: flag("normalized"),
    special: flag("special"),
  };
}
