import { CheckpointError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { isObject } from "../core/json.ts";
import { parsePythonLiteral } from "./python-literal.ts";

/** Names that upstream takes for an RWKV vocabulary (chat-config.md §7.2). */
export const RWKV_VOCABULARY_NAME: RegExp = /^rwkv_vocab_v\d{8}\.(json|txt)/;

export interface RwkvToken {
  readonly index: number;
  readonly token: Uint8Array;
}

/**
 * Reads the lines `index literal length` of an RWKV vocabulary.
 * @throws {CheckpointError} E_RWKV_VOCABULARY naming the line
 */
export function parseRwkvText(text: string): readonly RwkvToken[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => (line === "" ? undefined : parseLine(line, index + 1)))
    .filter((token) => token !== undefined);
}

function parseLine(line: string, number: number): RwkvToken {
  const first = line.indexOf(" ");
  const last = line.lastIndexOf(" ");
  const index = line.slice(0, first);
  const nbytes = line.slice(last + 1);
  const token = last > first ? parsePythonLiteral(line.slice(first + 1, last)) : undefined;
  if (!/^\d+$/.test(index) || !/^\d+$/.test(nbytes) || token === undefined)
    throw broken(`line ${number}: expected "index literal length", found ${line}`);
  if (token.length !== Number(nbytes))
    throw broken(`line ${number}: expected a token of ${nbytes} bytes, found ${token.length}`);
  return { index: Number(index), token };
}

/**
 * Reads the JSON form, token → index.
 * @throws {CheckpointError} E_RWKV_VOCABULARY
 */
export function readRwkvJson(value: Json): readonly RwkvToken[] {
  if (!isObject(value)) throw broken("expected an object of token → index");
  return [...value].map(([text, index]) => {
    if (typeof index !== "number") throw broken(`${JSON.stringify(text)}: expected an integer index`);
    return { index, token: Buffer.from(text, "utf8") };
  });
}

/**
 * The file `tokenizer_model`: one MessagePack map, index → token bytes, in file order (chat-config.md §11).
 * MessagePack keeps integers in their smallest form; only maps, unsigned integers and byte strings occur.
 */
export function packRwkvVocabulary(tokens: readonly RwkvToken[]): Uint8Array {
  const byIndex = new Map(tokens.map(({ index, token }) => [index, token]));
  const parts = [...byIndex].flatMap(([index, token]) => [unsigned(index), binary(token)]);
  return Buffer.concat([mapHeader(byIndex.size), ...parts]);
}

function mapHeader(size: number): Uint8Array {
  if (size < 16) return Uint8Array.of(0x80 | size);
  return size < 0x10000 ? tagged(0xde, size, 2) : tagged(0xdf, size, 4);
}

function unsigned(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value);
  if (value < 0x100) return tagged(0xcc, value, 1);
  return value < 0x10000 ? tagged(0xcd, value, 2) : tagged(0xce, value, 4);
}

function binary(bytes: Uint8Array): Uint8Array {
  const header = bytes.length < 0x100 ? tagged(0xc4, bytes.length, 1) : tagged(0xc5, bytes.length, 2);
  return Buffer.concat([header, bytes]);
}

/** A type byte and a big-endian number of `width` bytes. */
function tagged(type: number, value: number, width: number): Uint8Array {
  const bytes = Buffer.alloc(1 + width);
  bytes[0] = type;
  bytes.writeUIntBE(value, 1, width);
  return bytes;
}

function broken(problem: string): CheckpointError {
  return new CheckpointError("E_RWKV_VOCABULARY", `RWKV vocabulary: ${problem}`);
}
