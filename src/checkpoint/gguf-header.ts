import {
  GGUF_DEFAULT_ALIGNMENT,
  GGUF_ELEMENT_BYTES,
  GGUF_MAX_TENSOR_NAME,
  GGUF_TENSOR_TYPES,
  GGUF_VALUE_TYPES,
  type GgufArray,
  type GgufElementType,
  type GgufMetadata,
  type GgufTensorType,
  type GgufValue,
} from "../core/gguf.ts";
import { GgufCursor, NeedMoreBytes, type Refuse, refuser } from "./gguf-cursor.ts";

/** One tensor as its file describes it. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Row-major extents: the file's dimensions reversed. */
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly byteOffset: number;
  readonly nbytes: number;
}

/** Everything in a GGUF file but the tensors' bytes. */
export interface GgufHeader {
  readonly version: number;
  readonly bigEndian: boolean;
  /** In bytes. */
  readonly alignment: number;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
  /** Where the data section starts, in bytes. */
  readonly dataOffset: number;
}

/** Limits far above what any model needs, and far below what exhausts memory. */
const MAX_KEY_BYTES = 65_535;
const MAX_STRING_BYTES = 2 ** 26;
const MAX_ARRAY_ELEMENTS = 2 ** 24;
const MAX_ENTRIES = 2 ** 20;
const MAX_ALIGNMENT = 65_536;
const MAX_HEADER_BYTES = 2 ** 28;
const FIRST_READ_BYTES = 2 ** 20;
const MIN_KV_BYTES = 14;
const MIN_TENSOR_INFO_BYTES = 24;
const MAGIC = "GGUF";

/** What to read and how large it is. */
export interface GgufBytes {
  /** For messages. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Exactly the bytes `[0, length)`; `length` never exceeds `size`. */
  readonly readStart: (length: number) => Promise<Uint8Array>;
}

/**
 * Reads a file's header, asking for no more of its bytes than that takes (within a factor of four).
 * @throws {CheckpointError} `E_GGUF_MALFORMED`, `E_GGUF_TRUNCATED`, `E_GGUF_VERSION`
 */
export async function readGgufHeader(file: GgufBytes): Promise<GgufHeader> {
  let length = Math.min(FIRST_READ_BYTES, file.size);
  for (;;) {
    const bytes = await file.readStart(length);
    try {
      return parseGgufHeader(bytes, file);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (error.needed > MAX_HEADER_BYTES) {
        refuser(file.name)(`the header is longer than ${MAX_HEADER_BYTES} bytes`);
      }
      length = Math.min(Math.max(error.needed, length * 4), file.size, MAX_HEADER_BYTES);
    }
  }
}

/**
 * Parses the header of a GGUF file, version 2 or 3, from the file's first bytes.
 * @throws {NeedMoreBytes} if the header goes on behind `bytes`
 * @throws {CheckpointError} as {@link readGgufHeader}
 */
export function parseGgufHeader(bytes: Uint8Array, file: Pick<GgufBytes, "name" | "size">): GgufHeader {
  const refuse = refuser(file.name);
  const littleEndian = isLittleEndian(bytes, refuse);
  const cursor = new GgufCursor(bytes, { fileSize: file.size, littleEndian, refuse });
  cursor.take(4, "the magic bytes");
  const version = cursor.u32("the version");
  if (version !== 2 && version !== 3) {
    refuse(`GGUF version ${version}; versions 2 and 3 are supported`, "E_GGUF_VERSION");
  }
  // A tensor needs 24 bytes behind the metadata too, so both counts are checked against what is left here.
  const tensorCount = cursor.count("the number of tensors", MIN_TENSOR_INFO_BYTES, MAX_ENTRIES);
  const entryCount = cursor.count("the number of metadata entries", MIN_KV_BYTES, MAX_ENTRIES);
  const metadata = parseMetadata(cursor, entryCount, refuse);
  const alignment = alignmentOf(metadata, refuse);
  const infos: TensorEntry[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(parseTensor(cursor, refuse));
  const dataOffset = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = placeTensors(infos, { alignment, dataOffset, fileSize: file.size, refuse });
  return { version, bigEndian: !littleEndian, alignment, metadata, tensors, dataOffset };
}

/** Big-endian files have the same magic bytes; their small version number looks huge. */
function isLittleEndian(bytes: Uint8Array, refuse: Refuse): boolean {
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== MAGIC) {
    return refuse(`expected "GGUF" as the first four bytes, found ${JSON.stringify(magic)}`);
  }
  const low = (bytes[4] ?? 0) | ((bytes[5] ?? 0) << 8);
  const high = (bytes[6] ?? 0) | ((bytes[7] ?? 0) << 8);
  return low !== 0 || high === 0;
}

function parseMetadata(cursor: GgufCursor, count: number, refuse: Refuse): GgufMetadata {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.name(`the key of metadata entry ${i}`, MAX_KEY_BYTES);
    if (key === "") refuse(`metadata entry ${i} has an empty key`);
    if (metadata.has(key)) refuse(`metadata key ${JSON.stringify(key)} occurs twice`);
    metadata.set(key, parseValue(cursor, key, refuse));
  }
  return metadata;
}

function valueType(cursor: GgufCursor, what: string, refuse: Refuse): (typeof GGUF_VALUE_TYPES)[number] {
  const id = cursor.u32(`the type of ${what}`);
  return GGUF_VALUE_TYPES[id] ?? refuse(`${what} has the unknown type ${id}`);
}

function parseValue(cursor: GgufCursor, key: string, refuse: Refuse): GgufValue {
  const type = valueType(cursor, key, refuse);
  switch (type) {
    case "arr":
      return parseArray(cursor, key, refuse);
    case "str":
      return { type, value: cursor.text(key, MAX_STRING_BYTES) };
    case "bool":
      return { type, value: cursor.u8(key) !== 0 };
    case "u64":
    case "i64":
      return { type, value: cursor[type](key) };
    default:
      return { type, value: cursor[type](key) };
  }
}

function parseArray(cursor: GgufCursor, key: string, refuse: Refuse): GgufArray {
  const of = valueType(cursor, `the elements of ${key}`, refuse);
  if (of === "arr") return refuse(`${key} is an array of arrays, which no loader accepts`);
  const count = cursor.count(`the length of ${key}`, GGUF_ELEMENT_BYTES[of], MAX_ARRAY_ELEMENTS);
  if (of === "str") {
    const values = [];
    for (let i = 0; i < count; i++) values.push(cursor.text(key, MAX_STRING_BYTES));
    return { type: "arr", of, values };
  }
  // Claim all bytes first: a partly present array is not worth decoding.
  cursor.offset = cursor.take(count * GGUF_ELEMENT_BYTES[of], key);
  return numericArray(cursor, of, { key, count });
}

function numericArray(
  cursor: GgufCursor,
  of: Exclude<GgufElementType, "str">,
  { key, count }: { readonly key: string; readonly count: number },
): GgufArray {
  if (of === "bool") {
    return { type: "arr", of, values: Array.from({ length: count }, () => cursor.u8(key) !== 0) };
  }
  if (of === "u64")
    return { type: "arr", of, values: BigUint64Array.from({ length: count }, () => cursor.u64(key)) };
  if (of === "i64")
    return { type: "arr", of, values: BigInt64Array.from({ length: count }, () => cursor.i64(key)) };
  const values = new NUMBER_ARRAYS[of](count);
  for (let i = 0; i < count; i++) values[i] = cursor[of](key);
  return { type: "arr", of, values };
}

const NUMBER_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
} as const;

function alignmentOf(metadata: GgufMetadata, refuse: Refuse): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return GGUF_DEFAULT_ALIGNMENT;
  const alignment = value.type === "u32" ? value.value : 0;
  if (alignment === 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0) {
    refuse(`general.alignment must be a u32 power of two up to ${MAX_ALIGNMENT}`);
  }
  return alignment;
}

interface TensorEntry {
  readonly name: string;
  readonly type: GgufTensorType;
  readonly shape: readonly number[];
  readonly nbytes: number;
  readonly offset: number;
}

function parseTensor(cursor: GgufCursor, refuse: Refuse): TensorEntry {
  const name = cursor.name("a tensor's name", MAX_KEY_BYTES);
  if (Buffer.byteLength(name) > GGUF_MAX_TENSOR_NAME) {
    refuse(`tensor name ${JSON.stringify(name)} is longer than ${GGUF_MAX_TENSOR_NAME} bytes`);
  }
  const rank = cursor.u32(`the rank of ${name}`);
  if (rank > 4) refuse(`${name} has ${rank} dimensions; at most 4 are possible`);
  const dims: number[] = [];
  for (let axis = 0; axis < rank; axis++) dims.push(cursor.size(`extent ${axis} of ${name}`));
  const id = cursor.u32(`the type of ${name}`);
  const type = GGUF_TENSOR_TYPES.get(id);
  if (type === undefined) return refuse(`${name} has the unknown or withdrawn type ${id}`);
  const nbytes = tensorBytes(name, { type, dims, refuse });
  return { name, type, shape: dims.reverse(), nbytes, offset: cursor.size(`the offset of ${name}`) };
}

/** Exact also where a product of 64-bit extents would wrap. */
function tensorBytes(
  name: string,
  { type, dims, refuse }: { type: GgufTensorType; dims: readonly number[]; refuse: Refuse },
): number {
  const row = dims[0] ?? 1;
  if (row % type.blockElements !== 0) {
    refuse(`${name}: rows of ${row} elements are no whole blocks of ${type.blockElements} (${type.name})`);
  }
  const elements = dims.reduce((product, extent) => product * BigInt(extent), 1n);
  const nbytes = (elements / BigInt(type.blockElements)) * BigInt(type.blockBytes);
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (elements > limit || nbytes > limit) refuse(`${name}: [${dims.join(", ")}] has more than 2^53 elements`);
  return Number(nbytes);
}

/** Offsets must be exactly consecutive, each tensor padded to the alignment, and all bytes present. */
function placeTensors(
  entries: readonly TensorEntry[],
  file: { alignment: number; dataOffset: number; fileSize: number; refuse: Refuse },
): readonly GgufTensor[] {
  const names = new Set<string>();
  let expected = 0;
  return entries.map(({ offset, ...tensor }) => {
    if (names.has(tensor.name)) file.refuse(`tensor ${JSON.stringify(tensor.name)} occurs twice`);
    names.add(tensor.name);
    if (offset !== expected)
      file.refuse(`${tensor.name}: expected at offset ${expected}, found at ${offset}`);
    const byteOffset = file.dataOffset + offset;
    if (byteOffset + tensor.nbytes > file.fileSize) {
      file.refuse(
        `${tensor.name} ends at byte ${byteOffset + tensor.nbytes}, the file at ${file.fileSize}`,
        "E_GGUF_TRUNCATED",
      );
    }
    expected = offset + Math.ceil(tensor.nbytes / file.alignment) * file.alignment;
    return { ...tensor, byteOffset };
  });
}
