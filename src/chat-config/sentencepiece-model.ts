import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { CheckpointError } from "../core/errors.ts";

/** What a piece of a SentencePiece vocabulary is. */
export type PieceKind = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly kind: PieceKind;
}

/** The parts of a `tokenizer.model` that the conversion needs (chat-config.md §9.2). A piece's index is its id. */
export interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly algorithm: "unigram" | "bpe" | "word" | "char";
  readonly unknownPiece: string;
}

const KINDS: readonly (PieceKind | undefined)[] = [
  undefined,
  "normal",
  "unknown",
  "control",
  "user-defined",
  "unused",
  "byte",
];
const ALGORITHMS = [undefined, "unigram", "bpe", "word", "char"] as const;

/**
 * Reads the protobuf message; unknown fields are skipped.
 * @throws {CheckpointError} E_SENTENCEPIECE when the bytes are no such message
 */
export function parseSentencePieceModel(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer: Pick<SentencePieceModel, "algorithm" | "unknownPiece"> = parseTrainer(new Uint8Array());
  try {
    readFields(bytes, (field, reader) => {
      if (field === 1) pieces.push(parsePiece(reader.bytes()));
      else if (field === 2) trainer = parseTrainer(reader.bytes());
      else return false;
      return true;
    });
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    const message = "tokenizer.model: expected a SentencePiece model, found bytes that are no such message";
    throw new CheckpointError("E_SENTENCEPIECE", message, { cause });
  }
  if (pieces.length === 0)
    throw new CheckpointError("E_SENTENCEPIECE", "tokenizer.model: expected pieces, found none");
  return { pieces, ...trainer };
}

function parsePiece(bytes: Uint8Array): Piece {
  let text = "";
  let score = 0;
  let kind: PieceKind = "normal";
  readFields(bytes, (field, reader) => {
    if (field === 1) text = reader.string();
    else if (field === 2) score = reader.float();
    else if (field === 3) kind = named(KINDS, reader.int32(), "piece type");
    else return false;
    return true;
  });
  return { text, score, kind };
}

function parseTrainer(bytes: Uint8Array): Pick<SentencePieceModel, "algorithm" | "unknownPiece"> {
  let algorithm: SentencePieceModel["algorithm"] = "unigram";
  let unknownPiece = "<unk>";
  readFields(bytes, (field, reader) => {
    if (field === 3) algorithm = named(ALGORITHMS, reader.int32(), "model type");
    else if (field === 45) unknownPiece = reader.string();
    else return false;
    return true;
  });
  return { algorithm, unknownPiece };
}

function named<T>(names: readonly (T | undefined)[], value: number, what: string): T {
  const name = names[value];
  if (name !== undefined) return name;
  throw new CheckpointError("E_SENTENCEPIECE", `tokenizer.model: unknown ${what} ${value}`);
}

/** Calls `take` for every field; what it does not take (returns false) is skipped. */
function readFields(bytes: Uint8Array, take: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.EndGroup) throw new Error("group end without a group");
    if (!take(field, reader)) reader.skip(wireType, field);
  }
}
