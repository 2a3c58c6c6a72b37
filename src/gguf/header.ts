import { OutputError } from "../core/errors.ts";
import {
  GGUF_DEFAULT_ALIGNMENT,
  GGUF_MAX_TENSOR_NAME,
  GGUF_VALUE_TYPES,
  type GgufArray,
  type GgufElementType,
  type GgufMetadata,
  type GgufText,
  type GgufValue,
} from "../core/gguf.ts";

/** A tensor as the header describes it. */
export interface GgufHeaderTensor {
  readonly name: string;
  /** Id of its type in the format's table. */
  readonly typeId: number;
  /** Row-major extents; written reversed. */
  readonly shape: readonly number[];
  /** From the start of the data section, in bytes. */
  readonly offset: number;
}

const VERSION = 3;

/** A buffer that grows as it is written to. */
class Writer {
  private buffer = Buffer.alloc(2 ** 16);
  private readonly scratch = new DataView(new ArrayBuffer(8));
  length = 0;

  /** Room for `count` more bytes; returns where they start. */
  private claim(count: number): number {
    const start = this.length;
    this.length += count;
    if (this.length > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(this.length, this.buffer.length * 2));
      this.buffer.copy(larger);
      this.buffer = larger;
    }
    return start;
  }

  u32(value: number): void {
    const at = this.claim(4);
    this.buffer.writeUInt32LE(value, at);
  }

  u64(value: number | bigint): void {
    const at = this.claim(8);
    this.buffer.writeBigUInt64LE(BigInt(value), at);
  }

  text(value: GgufText): void {
    const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    this.u64(bytes.length);
    const at = this.claim(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** One element without its type. */
  element(type: GgufElementType, value: number | bigint | boolean | GgufText): void {
    if (type === "str") this.text(value as GgufText);
    else if (type === "u64" || type === "i64") this.u64(BigInt.asUintN(64, value as bigint));
    else this.number(type, Number(value));
  }

  private number(type: keyof typeof NUMBER_WRITERS, value: number): void {
    const [method, size] = NUMBER_WRITERS[type];
    this.scratch[method](0, value, true);
    const at = this.claim(size);
    this.buffer.set(new Uint8Array(this.scratch.buffer, 0, size), at);
  }

  /** Everything written, followed by zeros up to a multiple of `alignment`. */
  padded(alignment: number): Uint8Array {
    this.claim(Math.ceil(this.length / alignment) * alignment - this.length);
    return this.buffer.subarray(0, this.length);
  }
}

/** How each number type is stored, and its size in bytes. */
const NUMBER_WRITERS = {
  u8: ["setUint8", 1],
  i8: ["setInt8", 1],
  bool: ["setUint8", 1],
  u16: ["setUint16", 2],
  i16: ["setInt16", 2],
  u32: ["setUint32", 4],
  i32: ["setInt32", 4],
  f32: ["setFloat32", 4],
  f64: ["setFloat64", 8],
} as const;

/**
 * The bytes of a GGUF file before its data section, padded to the default alignment.
 * @throws {OutputError} `E_GGUF_TENSOR_NAME` for names that no loader accepts
 */
export function encodeGgufHeader(metadata: GgufMetadata, tensors: readonly GgufHeaderTensor[]): Uint8Array {
  const out = new Writer();
  for (const code of [0x47, 0x47, 0x55, 0x46]) out.element("u8", code);
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, value] of metadata) {
    out.text(key);
    writeValue(out, value);
  }
  for (const tensor of tensors) writeTensor(out, tensor);
  return out.padded(GGUF_DEFAULT_ALIGNMENT);
}

function writeValue(out: Writer, value: GgufValue): void {
  out.u32(GGUF_VALUE_TYPES.indexOf(value.type));
  if (value.type === "arr") writeArray(out, value);
  else out.element(value.type, value.value);
}

function writeArray(out: Writer, array: GgufArray): void {
  out.u32(GGUF_VALUE_TYPES.indexOf(array.of));
  out.u64(array.values.length);
  for (const value of array.values) out.element(array.of, value);
}

function writeTensor(out: Writer, { name, typeId, shape, offset }: GgufHeaderTensor): void {
  const length = Buffer.byteLength(name);
  if (length > GGUF_MAX_TENSOR_NAME) {
    throw new OutputError(
      "E_GGUF_TENSOR_NAME",
      `${name}: tensor names end at ${GGUF_MAX_TENSOR_NAME} bytes, this one has ${length}`,
    );
  }
  out.text(name);
  out.u32(shape.length);
  for (const extent of [...shape].reverse()) out.u64(extent);
  out.u32(typeId);
  out.u64(offset);
}
