import type { DType } from "../core/dtype.ts";
import type { CheckpointFile, SourceFormat } from "../core/tensor-info.ts";
import type { Scheme } from "./scheme.ts";
import type { Value } from "./value.ts";

/** How a value's elements become stored elements. */
export type Encoding =
  /** The elements in the output dtype. */
  | { readonly kind: "raw" }
  | ({ readonly kind: "group-words" } & GroupEncoding)
  | ({ readonly kind: "group-scales" } & GroupEncoding)
  /** `whole`: the value whose maximum sets the scale, where this tensor is only a worker's part of it. */
  | {
      readonly kind: "fp8-values";
      readonly format: "float8_e4m3fn" | "float8_e5m2";
      readonly scaled: boolean;
      readonly whole?: Value;
    }
  | { readonly kind: "fp8-scale" }
  | { readonly kind: "ft-words"; readonly arch: number }
  | { readonly kind: "ft-scales" }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "ggml" };

export interface GroupEncoding {
  readonly bits: 3 | 4;
  readonly group: number;
  /** KN: stored as [words or groups, rows]. */
  readonly transposed: boolean;
  /** Divide by the scale before it is rounded (bf16 KN only). */
  readonly unroundedScale: boolean;
}

/** One tensor of the output: what it is called, what it is made of, and how it is stored. */
export interface OutputTensor {
  readonly name: string;
  /** Row-major extents as the index lists them. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly encoding: Encoding;
  /** The dtype to which elements are rounded once before they are encoded. */
  readonly modelDType: DType;
  readonly value: Value;
  /** The value as a matrix [rows, cols]: what the encoding works on. */
  readonly rows: number;
  readonly cols: number;
  /** Source tensors in order. */
  readonly sources: readonly string[];
  /** The parameter of the unquantized model that this is a piece of. */
  readonly parameter: string;
}

/** The numbers of the index's `metadata` object (formats.md §6). */
export interface PlanMetadata {
  readonly paramSize: number;
  readonly paramBytes: number;
  readonly bitsPerParam: number;
  /** Elements of all used sources, each counted once: the true divisor, for the report. */
  readonly sourceParameters: number;
}

/** Everything about a conversion that can be known without reading a weight. Plain data. */
export interface Plan {
  readonly architecture: string;
  readonly scheme: Pick<Scheme, "name">;
  readonly sourceFormat: SourceFormat;
  readonly files: readonly CheckpointFile[];
  /** In emission order. */
  readonly tensors: readonly OutputTensor[];
  readonly metadata: PlanMetadata;
  /** Source tensors that no output needs and that are not declared unused. */
  readonly unused: readonly string[];
  readonly notices: readonly string[];
}
