/** The vocabulary of GGUF files that reader and writer share (gguf.md, sections 1 and 2). */
import type { DType } from "./dtype.ts";

/** Value types by id. `array` is 9. */
export const GGUF_VALUE_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "str",
  "arr",
  "u64",
  "i64",
  "f64",
] as const;

export type GgufValueType = (typeof GGUF_VALUE_TYPES)[number];
export type GgufIntegerType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32";
export type GgufNumberType = GgufIntegerType | "f32" | "f64";
export type GgufElementType = Exclude<GgufValueType, "arr">;

/** Text, or the bytes themselves where they are no valid UTF-8. */
export type GgufText = string | Uint8Array;

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** One metadata value with the exact type it has in a file. */
export type GgufValue =
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: "u64" | "i64"; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "str"; readonly value: GgufText }
  | GgufArray;

export type GgufArray =
  | { readonly type: "arr"; readonly of: GgufNumberType; readonly values: GgufNumbers }
  | { readonly type: "arr"; readonly of: "u64"; readonly values: BigUint64Array }
  | { readonly type: "arr"; readonly of: "i64"; readonly values: BigInt64Array }
  | { readonly type: "arr"; readonly of: "bool"; readonly values: readonly boolean[] }
  | { readonly type: "arr"; readonly of: "str"; readonly values: readonly GgufText[] };

/** Metadata in file order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Bytes of one element; strings take 8 for their length at least. */
export const GGUF_ELEMENT_BYTES: Readonly<Record<GgufElementType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  str: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** Alignment of a file that does not say otherwise, in bytes. */
export const GGUF_DEFAULT_ALIGNMENT = 32;

/** Longest tensor name that the reference loader takes, in bytes. */
export const GGUF_MAX_TENSOR_NAME = 63;

/** One tensor type of the format. */
export interface GgufTensorType {
  readonly id: number;
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
  /** How this package names it; absent for types that it cannot compute with. */
  readonly dtype?: DType;
}

type Row = readonly [id: number, name: string, blockElements: number, blockBytes: number, dtype?: DType];

const ROWS: readonly Row[] = [
  [0, "F32", 1, 4, "float32"],
  [1, "F16", 1, 2, "float16"],
  [2, "Q4_0", 32, 18, "q4_0"],
  [3, "Q4_1", 32, 20, "q4_1"],
  [6, "Q5_0", 32, 22, "q5_0"],
  [7, "Q5_1", 32, 24, "q5_1"],
  [8, "Q8_0", 32, 34, "q8_0"],
  [9, "Q8_1", 32, 36],
  [10, "Q2_K", 256, 84, "q2_K"],
  [11, "Q3_K", 256, 110, "q3_K"],
  [12, "Q4_K", 256, 144, "q4_K"],
  [13, "Q5_K", 256, 176, "q5_K"],
  [14, "Q6_K", 256, 210, "q6_K"],
  [15, "Q8_K", 256, 292],
  [16, "IQ2_XXS", 256, 66],
  [17, "IQ2_XS", 256, 74],
  [18, "IQ3_XXS", 256, 98],
  [19, "IQ1_S", 256, 50],
  [20, "IQ4_NL", 32, 18, "iq4_nl"],
  [21, "IQ3_S", 256, 110],
  [22, "IQ2_S", 256, 82],
  [23, "IQ4_XS", 256, 136, "iq4_xs"],
  [24, "I8", 1, 1, "int8"],
  [25, "I16", 1, 2, "int16"],
  [26, "I32", 1, 4, "int32"],
  [27, "I64", 1, 8, "int64"],
  [28, "F64", 1, 8, "float64"],
  [29, "IQ1_M", 256, 56],
  [30, "BF16", 1, 2, "bfloat16"],
  [34, "TQ1_0", 256, 54],
  [35, "TQ2_0", 256, 66],
  [39, "MXFP4", 32, 17, "mxfp4"],
  [40, "NVFP4", 64, 36],
  [41, "Q1_0", 128, 18],
  [42, "Q2_0", 64, 18],
];

/** Every tensor type, by id. */
export const GGUF_TENSOR_TYPES: ReadonlyMap<number, GgufTensorType> = new Map(
  ROWS.map(([id, name, blockElements, blockBytes, dtype]) => [
    id,
    { id, name, blockElements, blockBytes, ...(dtype === undefined ? {} : { dtype }) },
  ]),
);

/** The tensor types that this package reads and writes, by its own name for them. */
const BY_DTYPE: ReadonlyMap<DType, GgufTensorType> = new Map(
  [...GGUF_TENSOR_TYPES.values()].flatMap((type) => (type.dtype ? [[type.dtype, type] as const] : [])),
);

/** The tensor type that stores a dtype; `undefined` where the format has none. */
export function ggufTypeOf(dtype: DType): GgufTensorType | undefined {
  return BY_DTYPE.get(dtype);
}

/** A number of any integer or float type; `undefined` for anything else or beyond ±2^53. */
export function ggufNumber(value: GgufValue | undefined): number | undefined {
  if (value === undefined || value.type === "arr") return undefined;
  if (typeof value.value === "number") return value.value;
  if (typeof value.value !== "bigint") return undefined;
  const number = Number(value.value);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** A string value; `undefined` for anything else, also for bytes that are no text. */
export function ggufString(value: GgufValue | undefined): string | undefined {
  return value?.type === "str" && typeof value.value === "string" ? value.value : undefined;
}

/** A flag; `undefined` for anything else. */
export function ggufFlag(value: GgufValue | undefined): boolean | undefined {
  return value?.type === "bool" ? value.value : undefined;
}

/** The elements of a numeric array; `undefined` for anything else. */
export function ggufNumbers(value: GgufValue | undefined): readonly number[] | undefined {
  if (value?.type !== "arr" || value.of === "str" || value.of === "bool") return undefined;
  return Array.from<number | bigint, number>(value.values, Number);
}

/** The elements of a string array, text only; `undefined` for anything else. */
export function ggufStrings(value: GgufValue | undefined): readonly string[] | undefined {
  if (value?.type !== "arr" || value.of !== "str") return undefined;
  const texts = value.values.filter((text): text is string => typeof text === "string");
  return texts.length === value.values.length ? texts : undefined;
}

/** Values of the types that model metadata uses. */
export const ggufU32 = (value: number): GgufValue => ({ type: "u32", value });
export const ggufF32 = (value: number): GgufValue => ({ type: "f32", value: Math.fround(value) });
export const ggufText = (value: GgufText): GgufValue => ({ type: "str", value });
export const ggufBool = (value: boolean): GgufValue => ({ type: "bool", value });
export const ggufTexts = (values: readonly GgufText[]): GgufValue => ({ type: "arr", of: "str", values });
