/** Element types of tensors, spelled as the output format spells them. */
export type DType =
  | "float64"
  | "float32"
  | "float16"
  | "bfloat16"
  | "float8_e4m3fn"
  | "float8_e5m2"
  | "float8_e8m0"
  | "float8_e4m3fnuz"
  | "float8_e5m2fnuz"
  | "bool"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "complex64"
  | "float4"
  | "float6_e2m3"
  | "float6_e3m2"
  | GgmlBlockType;

/** Block-quantized element types of GGUF files. A row's length is a multiple of the block's. */
export type GgmlBlockType =
  | "q8_0"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q2_K"
  | "q3_K"
  | "q4_K"
  | "q5_K"
  | "q6_K"
  | "iq4_nl"
  | "iq4_xs"
  | "mxfp4";

/** How many bytes hold how many elements. */
export interface DTypeLayout {
  readonly blockElements: number;
  readonly blockBytes: number;
}

const scalar = (blockBytes: number): DTypeLayout => ({ blockElements: 1, blockBytes });

const LAYOUTS: Readonly<Record<DType, DTypeLayout>> = {
  float64: scalar(8),
  float32: scalar(4),
  float16: scalar(2),
  bfloat16: scalar(2),
  float8_e4m3fn: scalar(1),
  float8_e5m2: scalar(1),
  float8_e8m0: scalar(1),
  float8_e4m3fnuz: scalar(1),
  float8_e5m2fnuz: scalar(1),
  bool: scalar(1),
  int8: scalar(1),
  uint8: scalar(1),
  int16: scalar(2),
  uint16: scalar(2),
  int32: scalar(4),
  uint32: scalar(4),
  int64: scalar(8),
  uint64: scalar(8),
  complex64: scalar(8),
  float4: { blockElements: 2, blockBytes: 1 },
  float6_e2m3: { blockElements: 4, blockBytes: 3 },
  float6_e3m2: { blockElements: 4, blockBytes: 3 },
  q8_0: { blockElements: 32, blockBytes: 34 },
  q4_0: { blockElements: 32, blockBytes: 18 },
  q4_1: { blockElements: 32, blockBytes: 20 },
  q5_0: { blockElements: 32, blockBytes: 22 },
  q5_1: { blockElements: 32, blockBytes: 24 },
  q2_K: { blockElements: 256, blockBytes: 84 },
  q3_K: { blockElements: 256, blockBytes: 110 },
  q4_K: { blockElements: 256, blockBytes: 144 },
  q5_K: { blockElements: 256, blockBytes: 176 },
  q6_K: { blockElements: 256, blockBytes: 210 },
  iq4_nl: { blockElements: 32, blockBytes: 18 },
  iq4_xs: { blockElements: 256, blockBytes: 136 },
  mxfp4: { blockElements: 32, blockBytes: 17 },
};

/** The storage layout of a dtype. */
export function layoutOf(dtype: DType): DTypeLayout {
  return LAYOUTS[dtype];
}

/** Number of elements of `shape`; 1 for a scalar. Exact below 2^53. */
export function elementCount(shape: readonly number[]): number {
  let product = 1;
  for (const extent of shape) product *= extent;
  return product;
}

/** Bytes that `count` elements of `dtype` take; `undefined` if they do not fill whole blocks. */
export function byteLength(dtype: DType, count: number): number | undefined {
  const { blockElements, blockBytes } = LAYOUTS[dtype];
  return count % blockElements === 0 ? (count / blockElements) * blockBytes : undefined;
}
