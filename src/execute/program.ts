import type { DType, GgmlBlockType } from "../core/dtype.ts";
import { layoutOf } from "../core/dtype.ts";
import type { PlacedTensor, Shard } from "../core/layout.ts";
import { type Block, type Gather, sliceFlat } from "../plan/gather.ts";
import type { OutputTensor } from "../plan/plan.ts";
import type { Transform } from "../plan/value.ts";

/**
 * Numbers of cpp/kernels/kernels.h `DType`. Integers of one width share their sign's number only where bits
 * are copied; every dtype that the plan lets through is listed.
 */
const DTYPES: Readonly<Partial<Record<DType, number>>> = {
  float64: 0,
  float32: 1,
  float16: 2,
  bfloat16: 3,
  float8_e4m3fn: 4,
  int8: 5,
  uint8: 6,
  int16: 7,
  uint16: 8,
  int32: 9,
  uint32: 10,
  int64: 11,
  uint64: 12,
  bool: 13,
};

const FIRST_BLOCK_TYPE = 32;
/** In the order of cpp/kernels/kernels.h `GgmlType`. */
const BLOCK_TYPES: readonly GgmlBlockType[] = [
  "q8_0",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q2_K",
  "q3_K",
  "q4_K",
  "q5_K",
  "q6_K",
  "iq4_nl",
  "iq4_xs",
  "mxfp4",
];

/** In the order of cpp/engine/program.h `Encoding`. */
const ENCODINGS = [
  "raw",
  "raw-bf16",
  "group-words",
  "group-scales",
  "fp8-values",
  "fp8-scale",
  "ft-words",
  "ft-scales",
  "constant",
  "ggml",
] as const;

const FLAG = { transposed: 1, unroundedScale: 2, bf16Scale: 4, fp8Scaled: 8 } as const;

const NO_GATHER: Gather = { outer: 0, blocks: [] };

function typeNumber(dtype: DType): number {
  const plain = DTYPES[dtype];
  if (plain !== undefined) return plain;
  const block = BLOCK_TYPES.indexOf(dtype as GgmlBlockType);
  if (block < 0) throw new TypeError(`no native number for ${dtype}`);
  return FIRST_BLOCK_TYPE + block;
}

/** Where a block begins, in bytes; offsets into block types are whole blocks. */
function byteOffset({ tensor, offset }: Block): number {
  const { blockElements, blockBytes } = layoutOf(tensor.dtype);
  return tensor.byteOffset + (offset / blockElements) * blockBytes;
}

export interface ProgramOptions {
  readonly float32AsBfloat16: boolean;
  /** The job's number of each of the checkpoint's files. */
  readonly sources: readonly number[];
  /** Words and the scales that are kept from making them have the same number here. */
  readonly pairs?: ReadonlyMap<PlacedTensor, number>;
}

/**
 * What one shard's bytes are made of, as the numbers that cpp/engine/decode-program.cpp `decode_shard` reads.
 */
export function encodeShard(
  tensors: readonly OutputTensor[],
  shard: Shard,
  options: ProgramOptions,
): Float64Array {
  const words: number[] = [shard.tensors.length];
  for (const placed of shard.tensors) appendPiece(words, tensors, placed, options);
  return Float64Array.from(words);
}

function appendPiece(
  words: number[],
  tensors: readonly OutputTensor[],
  placed: PlacedTensor,
  { float32AsBfloat16, sources, pairs }: ProgramOptions,
): void {
  const tensor = tensors[placed.tensor] as OutputTensor;
  const { encoding, value } = tensor;
  const narrow = float32AsBfloat16 && tensor.dtype === "float32";
  const kind = encoding.kind === "raw" && narrow ? "raw-bf16" : encoding.kind;
  const group = encoding.kind === "group-words" || encoding.kind === "group-scales" ? encoding : undefined;
  words.push(
    ENCODINGS.indexOf(kind),
    ...transformNumbers(value.transform),
    typeNumber(modelOf(tensor)),
    placed.rows?.count ?? tensor.rows,
    tensor.cols,
    placed.nbytes,
    pairs?.get(placed) ?? 0,
    group?.bits ?? 0,
    group?.group ?? 0,
    flagsOf(tensor, narrow),
    encoding.kind === "fp8-values" && encoding.format === "float8_e5m2" ? 1 : 0,
    encoding.kind === "ft-words" ? encoding.arch : 0,
    encoding.kind === "constant" ? encoding.value : 0,
    encoding.kind === "ggml" ? BLOCK_TYPES.indexOf(tensor.dtype as GgmlBlockType) : 0,
  );
  appendGather(words, rowsOf(tensor, placed), sources);
  const whole = encoding.kind === "fp8-values" ? encoding.whole?.gather : undefined;
  appendGather(words, whole ?? NO_GATHER, sources);
}

/** The elements of the rows that are placed here. */
function rowsOf({ value, cols }: OutputTensor, { rows }: PlacedTensor): Gather {
  if (!rows) return value.gather;
  return sliceFlat(value.gather, rows.start * cols, (rows.start + rows.count) * cols);
}

/** Bits that are copied keep the source's number: int32 words become uint32 by name only. */
function modelOf(tensor: OutputTensor): DType {
  if (tensor.encoding.kind !== "raw" || tensor.dtype !== "uint32") return tensor.modelDType;
  return tensor.value.gather.blocks[0]?.tensor.dtype ?? tensor.modelDType;
}

function transformNumbers(transform: Transform): [kind: number, argument: number] {
  switch (transform.kind) {
    case "none":
      return [0, 0];
    case "add1":
      return [transform.in === "source" ? 1 : 2, 0];
    case "divide-pow2":
      return [3, transform.power];
    case "exp-neg-exp":
      return [4, 0];
  }
}

/** @param narrow float32 is stored as bfloat16 */
function flagsOf({ encoding }: OutputTensor, narrow: boolean): number {
  let flags = 0;
  if (encoding.kind === "group-words" || encoding.kind === "group-scales") {
    if (encoding.transposed) flags |= FLAG.transposed;
    if (encoding.unroundedScale) flags |= FLAG.unroundedScale;
  }
  if (encoding.kind === "group-scales" && narrow) flags |= FLAG.bf16Scale;
  if (encoding.kind === "fp8-values" && encoding.scaled) flags |= FLAG.fp8Scaled;
  return flags;
}

function appendGather(words: number[], { outer, blocks }: Gather, sources: readonly number[]): void {
  words.push(outer, blocks.length);
  for (const block of blocks) {
    const source = sources[block.tensor.file] as number;
    words.push(source, typeNumber(block.tensor.dtype), byteOffset(block), block.outerStride);
    words.push(block.extents.length);
    block.extents.forEach((extent, axis) => {
      words.push(extent, block.strides[axis] as number);
    });
  }
}
