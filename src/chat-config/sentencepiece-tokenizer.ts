import { CheckpointError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { Float } from "../core/json.ts";
import { tokenText } from "./active-vocab.ts";
import type { Piece, SentencePieceModel } from "./sentencepiece-model.ts";
import type { AddedToken, SpecialTokens } from "./sentencepiece-tokens.ts";
import { addedTokenToJson, buildAddedTokens } from "./sentencepiece-tokens.ts";

/** The rules by which a `tokenizer.model` becomes a tokenizer.json (chat-config.md §9.1). */
export type SentencePieceRules = "llama" | "codellama" | "gemma";

export interface SentencePieceInput {
  readonly model: SentencePieceModel;
  readonly rules: SentencePieceRules;
  /** tokenizer_config.json, empty when there is none. */
  readonly config: JsonObject;
  readonly addedTokens?: JsonObject | undefined;
}

const CLASSES: ReadonlyMap<string, SentencePieceRules> = new Map([
  ["LlamaTokenizer", "llama"],
  ["CodeLlamaTokenizer", "codellama"],
  ["GemmaTokenizer", "gemma"],
]);
const LLAMA_TYPES = "llama llama4 mistral mixtral mistral3 phi3 deepseek_v2 deepseek_v3 llava".split(" ");
const GEMMA_TYPES = "gemma gemma2 gemma3 gemma3_text".split(" ");
const CODELLAMA_TOKENS = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"];
const GEMMA_SPECIAL_PIECES: ReadonlySet<string> = new Set(["<start_of_turn>", "<end_of_turn>"]);

/** The rules for a tokenizer class, or for a model type where no class is named; `undefined`: none apply. */
export function rulesFor(
  tokenizerClass: string | undefined,
  modelType: string,
): SentencePieceRules | undefined {
  if (tokenizerClass !== undefined) return CLASSES.get(tokenizerClass.replace(/Fast$/, ""));
  if (LLAMA_TYPES.includes(modelType)) return "llama";
  return GEMMA_TYPES.includes(modelType) ? "gemma" : undefined;
}

/**
 * The tokenizer.json that equals a SentencePiece model (chat-config.md §9.3–9.5).
 * @throws {CheckpointError} E_SENTENCEPIECE for word and character models
 */
export function convertSentencePiece(input: SentencePieceInput): JsonObject {
  const { model, rules, config } = input;
  if (model.algorithm === "word" || model.algorithm === "char") {
    const message = `tokenizer.model: expected a BPE or Unigram model, found ${model.algorithm}`;
    throw new CheckpointError("E_SENTENCEPIECE", message);
  }
  const gemma = rules === "gemma";
  const special = specialTokens(config, gemma);
  const pieces = gemma ? renameGemma(model.pieces, special) : model.pieces;
  const vocabulary = new Map(pieces.map(({ text }, id) => [text, id]));
  const tokens = buildAddedTokens({
    model,
    vocabulary,
    special,
    config,
    addedTokens: input.addedTokens,
    classTokens: rules === "codellama" ? CODELLAMA_TOKENS : [],
    specialPieces: gemma ? GEMMA_SPECIAL_PIECES : new Set(),
  });
  return new Map<string, Json>([
    ["version", "1.0"],
    ["truncation", null],
    ["padding", null],
    ["added_tokens", tokens.map(addedTokenToJson)],
    ...(gemma ? gemmaParts() : llamaParts(config)),
    ["post_processor", postProcessor(config, special, tokens)],
    ["decoder", decoder(!gemma && config.get("add_prefix_space") !== false)],
    ["model", modelObject(input, pieces)],
  ]);
}

function specialTokens(config: JsonObject, gemma: boolean): SpecialTokens {
  const value = (name: string, fallback: string | null): Json =>
    config.has(name) ? (config.get(name) ?? null) : fallback;
  return {
    unk: value("unk_token", "<unk>"),
    bos: value("bos_token", gemma ? "<bos>" : "<s>"),
    eos: value("eos_token", gemma ? "<eos>" : "</s>"),
    pad: value("pad_token", gemma ? "<pad>" : null),
  };
}

/** Ids 0–2 take the names of pad, eos and bos; the byte piece of a tab becomes a tab if there is none. */
function renameGemma(pieces: readonly Piece[], special: SpecialTokens): readonly Piece[] {
  const names = [special.pad, special.eos, special.bos].map(tokenText);
  const hasTab = pieces.some(({ text }) => text === "\t");
  return pieces.map((piece, id) => {
    if (id < names.length) return { ...piece, text: names[id] ?? piece.text };
    return !hasTab && piece.text === "<0x09>" ? { ...piece, text: "\t", score: 0 } : piece;
  });
}

function modelObject(input: SentencePieceInput, pieces: readonly Piece[]): JsonObject {
  const scored = pieces.map((piece, id) => (id < 3 ? { ...piece, score: 0 } : piece));
  if (input.model.algorithm === "unigram") {
    return new Map<string, Json>([
      ["type", "Unigram"],
      ["unk_id", 0],
      ["vocab", scored.map(({ text, score }) => [text, new Float(score)])],
      ["byte_fallback", true],
    ]);
  }
  const members = new Map(input.model.pieces.map(({ text }, id) => [text, id]));
  const byteTab = members.get("<0x09>");
  if (input.rules === "gemma" && byteTab !== undefined && !members.has("\t")) members.set("\t", byteTab);
  return new Map<string, Json>([
    ["type", "BPE"],
    ["dropout", null],
    ["unk_token", input.model.unknownPiece],
    ["continuing_subword_prefix", null],
    ["end_of_word_suffix", null],
    ["fuse_unk", true],
    ["byte_fallback", true],
    ["ignore_merges", false],
    ["vocab", new Map(pieces.map(({ text }, id) => [text, id]))],
    ["merges", merges(scored, members)],
  ]);
}

interface Candidate {
  readonly left: string;
  readonly right: string;
  readonly score: number;
  readonly leftLength: number;
  readonly rightLength: number;
}

/** Every split of a piece into two pieces, best score first (chat-config.md §9.3). */
function merges(pieces: readonly Piece[], members: ReadonlyMap<string, number>): readonly Json[] {
  const scores = new Map(pieces.map(({ text, score }) => [text, score]));
  const candidates = [...scores].flatMap(([text, score]) => splits(text, score, members));
  candidates.sort(
    (a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength,
  );
  return candidates.map(({ left, right }) => [left, right]);
}

function splits(text: string, score: number, members: ReadonlyMap<string, number>): readonly Candidate[] {
  const found: (Candidate & { readonly ids: readonly [number, number] })[] = [];
  const points = [...text];
  let left = "";
  for (const [index, point] of points.slice(0, -1).entries()) {
    left += point;
    const right = text.slice(left.length);
    const leftId = members.get(left);
    const rightId = members.get(right);
    if (leftId === undefined || rightId === undefined) continue;
    const leftLength = index + 1;
    const rightLength = points.length - leftLength;
    found.push({ left, right, score, leftLength, rightLength, ids: [leftId, rightId] });
  }
  return found.sort((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
}

const object = (...entries: readonly (readonly [string, Json])[]): JsonObject => new Map(entries);
const replace = (from: string, to: string): JsonObject =>
  object(["type", "Replace"], ["pattern", object(["String", from])], ["content", to]);

function llamaParts(config: JsonObject): readonly (readonly [string, Json])[] {
  const prefixed = config.get("add_prefix_space") !== false;
  if (config.get("legacy") === false) {
    const metaspace = object(
      ["type", "Metaspace"],
      ["replacement", "▁"],
      ["prepend_scheme", prefixed ? "first" : "never"],
      ["split", false],
    );
    return [
      ["normalizer", null],
      ["pre_tokenizer", metaspace],
    ];
  }
  const prepend = prefixed ? [object(["type", "Prepend"], ["prepend", "▁"])] : [];
  return [
    ["normalizer", object(["type", "Sequence"], ["normalizers", [...prepend, replace(" ", "▁")]])],
    ["pre_tokenizer", null],
  ];
}

function gemmaParts(): readonly (readonly [string, Json])[] {
  const split = object(
    ["type", "Split"],
    ["pattern", object(["String", " "])],
    ["behavior", "MergedWithPrevious"],
    ["invert", false],
  );
  return [
    ["normalizer", replace(" ", "▁")],
    ["pre_tokenizer", split],
  ];
}

function decoder(strips: boolean): JsonObject {
  const strip = object(["type", "Strip"], ["content", " "], ["start", 1], ["stop", 0]);
  const steps = [replace("▁", " "), object(["type", "ByteFallback"]), object(["type", "Fuse"])];
  return object(["type", "Sequence"], ["decoders", strips ? [...steps, strip] : steps]);
}

function postProcessor(
  config: JsonObject,
  special: SpecialTokens,
  tokens: readonly AddedToken[],
): JsonObject {
  const bos = config.get("add_bos_token") === false ? undefined : tokenText(special.bos);
  const eos = config.get("add_eos_token") === true ? tokenText(special.eos) : undefined;
  const piece = (kind: string, id: string, typeId: number): JsonObject =>
    object([kind, object(["id", id], ["type_id", typeId])]);
  const around = (sequence: string, typeId: number): readonly Json[] => [
    ...(bos === undefined ? [] : [piece("SpecialToken", bos, typeId)]),
    piece("Sequence", sequence, typeId),
    ...(eos === undefined ? [] : [piece("SpecialToken", eos, typeId)]),
  ];
  const used = [...new Set([bos, eos])].filter((token) => token !== undefined).sort();
  const entries = used.map((content): [string, Json] => {
    const ids = tokens.filter((token) => token.content === content).map(({ id }) => id);
    return [content, object(["id", content], ["ids", ids], ["tokens", [content]])];
  });
  return object(
    ["type", "TemplateProcessing"],
    ["single", around("A", 0)],
    ["pair", [...around("A", 0), ...around("B", 1)]],
    ["special_tokens", new Map(entries)],
  );
}
