import { PlanError } from "../../core/errors.ts";
import type { GgufText } from "../../core/gguf.ts";

/** One entry of a SentencePiece model; its index is the token's id. */
export interface Piece {
  readonly text: GgufText;
  readonly score: number;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly type: number;
}

const PIECES_FIELD = 1;

/**
 * Reads the pieces of a `tokenizer.model`: a protobuf message whose field 1 repeats { piece, score, type }.
 * @throws {PlanError} `E_GGUF_TOKENIZER` if the bytes are no such message
 */
export function parseSentencePiece(bytes: Uint8Array): readonly Piece[] {
  const pieces: Piece[] = [];
  for (const { field, data } of fields(bytes)) {
    if (field === PIECES_FIELD && data instanceof Uint8Array) pieces.push(parsePiece(data));
  }
  if (pieces.length === 0) throw damaged("no pieces in it");
  return pieces;
}

/** Whether bytes begin as a SentencePiece model does; other tokenizers have used the same file name. */
export function isSentencePiece(bytes: Uint8Array): boolean {
  return bytes[0] === ((PIECES_FIELD << 3) | 2);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parsePiece(bytes: Uint8Array): Piece {
  let text: GgufText = "";
  let score = 0;
  let type = 1;
  for (const { field, data } of fields(bytes)) {
    if (field === 1 && data instanceof Uint8Array) text = decode(data);
    if (field === 2 && data instanceof DataView) score = data.getFloat32(0, true);
    if (field === 3 && typeof data === "number") type = data;
  }
  return { text, score, type };
}

function decode(bytes: Uint8Array): GgufText {
  try {
    return UTF8.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

interface Field {
  readonly field: number;
  /** By wire type: a varint, a fixed-size word, or bytes. */
  readonly data: number | DataView | Uint8Array;
}

function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw damaged("it ends within a number");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw damaged("a number has no end");
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw damaged("it ends within a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const word = (length: number): DataView => {
    const part = take(length);
    return new DataView(part.buffer, part.byteOffset, length);
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (tag % 8 === 0) yield { field, data: varint() };
    else if (tag % 8 === 1) yield { field, data: word(8) };
    else if (tag % 8 === 2) yield { field, data: take(varint()) };
    else if (tag % 8 === 5) yield { field, data: word(4) };
    else throw damaged(`wire type ${tag % 8}`);
  }
}

function damaged(problem: string): PlanError {
  return new PlanError("E_GGUF_TOKENIZER", `tokenizer.model is no SentencePiece model: ${problem}`, {
    hint: "get the model's tokenizer files again",
  });
}
