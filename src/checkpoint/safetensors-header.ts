import type { ByteSource } from "../core/byte-source.ts";
import { byteLength, type DType, elementCount, layoutOf } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import type { FileTensor } from "./file-tensor.ts";
import { type HeaderEntry, scanSafetensorsHeader } from "./safetensors-scanner.ts";

/** The limit of the standard reader. */
const MAX_HEADER_BYTES = 100_000_000;
/** Covers the header of most files, so that a remote file needs one request. */
const FIRST_READ_BYTES = 100_000;

const DTYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["F64", "float64"],
  ["F32", "float32"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["F8_E4M3", "float8_e4m3fn"],
  ["F8_E5M2", "float8_e5m2"],
  ["F8_E8M0", "float8_e8m0"],
  ["F8_E4M3FNUZ", "float8_e4m3fnuz"],
  ["F8_E5M2FNUZ", "float8_e5m2fnuz"],
  ["F4", "float4"],
  ["F6_E2M3", "float6_e2m3"],
  ["F6_E3M2", "float6_e3m2"],
  ["BOOL", "bool"],
  ["U8", "uint8"],
  ["I8", "int8"],
  ["I16", "int16"],
  ["U16", "uint16"],
  ["I32", "int32"],
  ["U32", "uint32"],
  ["I64", "int64"],
  ["U64", "uint64"],
  ["C64", "complex64"],
]);

/**
 * Reads and checks the header of a safetensors file by all rules of formats.md §1.2; the data itself is not read.
 *
 * Reads the first 100 000 bytes, then the rest of the header if there is more. Nothing is allocated from a number in
 * the file before it was compared with the file's size.
 *
 * @param source the file
 * @param where its name, for messages
 * @returns the tensors in data order; `byteOffset` counts from the start of the file
 * @throws {CheckpointError} `E_SAFETENSORS_TRUNCATED`, `E_SAFETENSORS_HEADER`, `E_SAFETENSORS_LAYOUT`, `E_SAFETENSORS_DTYPE`
 */
export async function readSafetensorsHeader(source: ByteSource, where: string): Promise<FileTensor[]> {
  if (source.size < 8) throw truncated(`${where}: expected at least 8 bytes, found ${source.size}`);
  const first = await readExactly(source, { start: 0, end: Math.min(source.size, FIRST_READ_BYTES), where });
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw badHeader(`${where}: expected a header of at most ${MAX_HEADER_BYTES} bytes, found ${length}`);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > source.size) {
    const missing = dataStart - source.size;
    throw truncated(
      `${where}: the header needs ${dataStart} bytes, the file has ${source.size}: ${missing} are missing`,
    );
  }
  const header = new Uint8Array(Math.max(dataStart, 8));
  header.set(first.subarray(0, dataStart));
  if (dataStart > first.length) {
    header.set(await readExactly(source, { start: first.length, end: dataStart, where }), first.length);
  }
  return parseSafetensorsHeader(header.subarray(8), source.size - dataStart, where);
}

/**
 * Parses and checks a header that is already in memory.
 *
 * @param header the header's bytes, without the length in front
 * @param dataBytes length of the data buffer behind it
 * @param where file name for messages
 */
export function parseSafetensorsHeader(header: Uint8Array, dataBytes: number, where: string): FileTensor[] {
  const entries = scanSafetensorsHeader(decodeUtf8(header, where), where);
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(entries, dataBytes, where);
  const dataStart = 8 + header.length;
  return entries.map((entry) => toTensor(entry, dataStart, where));
}

function decodeUtf8(header: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    throw badHeader(`${where}: expected the header to be UTF-8 text, found other bytes`, cause);
  }
}

function unknownDtype({ name, dtype }: HeaderEntry, where: string): CheckpointError {
  return new CheckpointError(
    "E_SAFETENSORS_DTYPE",
    `${where}: ${name}: expected a dtype among ${[...DTYPES.keys()].join(", ")}; found ${JSON.stringify(dtype.slice(0, 40))}`,
  );
}

/** The tensors, sorted by offset, must tile the data buffer: no hole, no overlap, nothing before or behind. */
function checkCoverage(entries: readonly HeaderEntry[], dataBytes: number, where: string): void {
  let reached = 0;
  let previous = "the start of the data";
  for (const { name, begin, end } of entries) {
    if (begin > end)
      throw badLayout(`${where}: ${name}: expected begin <= end, found data_offsets [${begin}, ${end}]`);
    if (begin !== reached) {
      const what = begin < reached ? "overlaps" : "leaves a hole behind";
      throw badLayout(
        `${where}: ${name} ${what} ${previous}: expected it to start at ${reached}, found ${begin}`,
      );
    }
    reached = end;
    previous = name;
  }
  if (reached > dataBytes) {
    throw truncated(
      `${where}: expected ${reached} bytes of data, found ${dataBytes}: the file is cut off, ${reached - dataBytes} bytes are missing`,
    );
  }
  if (reached < dataBytes) {
    throw badLayout(
      `${where}: expected ${reached} bytes of data, found ${dataBytes}: ${dataBytes - reached} bytes trail`,
    );
  }
}

function toTensor(entry: HeaderEntry, dataStart: number, where: string): FileTensor {
  const { name, shape, begin, end } = entry;
  const dtype = DTYPES.get(entry.dtype);
  if (dtype === undefined) throw unknownDtype(entry, where);
  const nbytes = end - begin;
  const expected = checkedByteLength(dtype, shape);
  if (expected !== nbytes) {
    const needs = expected === undefined ? "no whole number of bytes below 2^53" : `${expected} bytes`;
    throw badLayout(
      `${where}: ${name}: ${entry.dtype} [${shape.join(", ")}] takes ${needs}, found ${nbytes}`,
    );
  }
  return { name, dtype, shape, byteOffset: dataStart + begin, nbytes };
}

/** Bytes of a contiguous tensor; `undefined` if they are no safe integer or fill no whole block. */
function checkedByteLength(dtype: DType, shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  const count = elementCount(shape);
  const { blockBytes } = layoutOf(dtype);
  if (count > Number.MAX_SAFE_INTEGER / blockBytes) return undefined;
  return byteLength(dtype, count);
}

async function readExactly(
  source: ByteSource,
  range: { start: number; end: number; where: string },
): Promise<Uint8Array> {
  const { start, end, where } = range;
  const bytes = await source.read(start, end);
  if (bytes.length === end - start) return bytes;
  throw truncated(
    `${where}: expected ${end - start} bytes at ${start}, found ${bytes.length}: the file has shrunk`,
  );
}

function truncated(message: string): CheckpointError {
  return new CheckpointError("E_SAFETENSORS_TRUNCATED", message, {
    hint: "Fetch the file again; the download did not finish.",
  });
}

function badHeader(message: string, cause?: unknown): CheckpointError {
  return new CheckpointError("E_SAFETENSORS_HEADER", message, {
    hint: "Fetch the file again; it is no valid safetensors file.",
    cause,
  });
}

function badLayout(message: string): CheckpointError {
  return new CheckpointError("E_SAFETENSORS_LAYOUT", message, {
    hint: "Fetch the file again; its header does not describe its data.",
  });
}
