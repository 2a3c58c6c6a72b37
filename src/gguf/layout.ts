import { byteLength, type DType, elementCount } from "../core/dtype.ts";
import { OutputError } from "../core/errors.ts";
import { GGUF_DEFAULT_ALIGNMENT, type GgufMetadata, ggufTypeOf } from "../core/gguf.ts";
import { encodeGgufHeader } from "./header.ts";

/** A tensor that shall be written. */
export interface GgufOutputTensor {
  readonly name: string;
  /** Row-major extents. */
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A tensor with its place in a file. */
export interface GgufPlacedTensor extends GgufOutputTensor {
  /** Index into the tensors that the layout was made of. */
  readonly index: number;
  /** From the start of the file, in bytes. */
  readonly byteOffset: number;
  readonly nbytes: number;
}

/** One file: the header, then the tensors, each padded with zeros to a multiple of 32 bytes. */
export interface GgufFileLayout {
  readonly name: string;
  /** Everything before the first tensor, padding included. */
  readonly header: Uint8Array;
  readonly tensors: readonly GgufPlacedTensor[];
  /** In bytes, padding of the last tensor included. */
  readonly size: number;
}

export interface GgufLayoutRequest {
  /** Ends in `.gguf`; parts of a split insert their numbers before that. */
  readonly fileName: string;
  readonly metadata: GgufMetadata;
  /** In output order. */
  readonly tensors: readonly GgufOutputTensor[];
  /** Largest sum of tensor bytes in one file; absent for one file. A larger tensor gets a file of its own. */
  readonly splitMaxBytes?: number;
}

/**
 * Every byte offset of a GGUF model, from sizes alone.
 * @throws {OutputError} `E_GGUF_DTYPE` for what the format cannot store
 */
export function layoutGguf(request: GgufLayoutRequest): readonly GgufFileLayout[] {
  const parts = split(request.tensors.map(measure), request.splitMaxBytes ?? Number.POSITIVE_INFINITY);
  return parts.map((tensors, number) =>
    layoutFile(
      partName(request.fileName, number, parts.length),
      partMetadata(request, number, parts.length),
      tensors,
    ),
  );
}

interface Measured {
  readonly tensor: GgufOutputTensor;
  readonly index: number;
  readonly typeId: number;
  readonly nbytes: number;
}

const padded = (nbytes: number): number =>
  Math.ceil(nbytes / GGUF_DEFAULT_ALIGNMENT) * GGUF_DEFAULT_ALIGNMENT;

function measure(tensor: GgufOutputTensor, index: number): Measured {
  const { name, shape, dtype } = tensor;
  const type = ggufTypeOf(dtype);
  const nbytes = byteLength(dtype, elementCount(shape));
  const row = shape.at(-1) ?? 1;
  if (type === undefined || nbytes === undefined || row % type.blockElements !== 0 || shape.length > 4) {
    throw new OutputError("E_GGUF_DTYPE", `${name}: [${shape.join(", ")}] cannot be stored as ${dtype}`);
  }
  return { tensor, index, typeId: type.id, nbytes };
}

function split(tensors: readonly Measured[], limit: number): readonly (readonly Measured[])[] {
  const parts: Measured[][] = [[]];
  let used = 0;
  for (const tensor of tensors) {
    const size = padded(tensor.nbytes);
    if (used > 0 && used + size > limit) {
      parts.push([]);
      used = 0;
    }
    parts.at(-1)?.push(tensor);
    used += size;
  }
  return parts;
}

function partName(fileName: string, number: number, count: number): string {
  if (count === 1) return fileName;
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `${fileName.replace(/\.gguf$/, "")}-${digits(number + 1)}-of-${digits(count)}.gguf`;
}

/** All metadata is in the first part; every part says which it is. */
function partMetadata(request: GgufLayoutRequest, number: number, count: number): GgufMetadata {
  if (count === 1) return request.metadata;
  return new Map([
    ...(number === 0 ? request.metadata : []),
    ["split.no", { type: "u16", value: number }],
    ["split.count", { type: "u16", value: count }],
    ["split.tensors.count", { type: "i32", value: request.tensors.length }],
  ]);
}

function layoutFile(name: string, metadata: GgufMetadata, tensors: readonly Measured[]): GgufFileLayout {
  let offset = 0;
  const offsets = tensors.map(({ nbytes }) => {
    const start = offset;
    offset += padded(nbytes);
    return start;
  });
  const header = encodeGgufHeader(
    metadata,
    tensors.map(({ tensor, typeId }, i) => ({
      name: tensor.name,
      typeId,
      shape: tensor.shape,
      offset: offsets[i] ?? 0,
    })),
  );
  const placed = tensors.map(({ tensor, index, nbytes }, i) => ({
    ...tensor,
    index,
    byteOffset: header.length + (offsets[i] ?? 0),
    nbytes,
  }));
  return { name, header, tensors: placed, size: header.length + offset };
}
