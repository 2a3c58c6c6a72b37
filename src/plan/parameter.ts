import type { DType } from "../core/dtype.ts";

/**
 * What an output tensor is made of, as data: a small expression over source tensors.
 *
 * Shapes are inferred while planning. The result is cast once to the parameter's dtype at the very end,
 * except for `divide-pow2` and `exp-neg-exp`, which say in which dtype they compute.
 */
export type Expression =
  | { readonly op: "source"; readonly name: string }
  /** Joins along `axis`; all other extents are equal. */
  | { readonly op: "concat"; readonly axis: number; readonly parts: readonly Expression[] }
  /** Joins along a new axis 0; all extents are equal. */
  | { readonly op: "stack"; readonly parts: readonly Expression[] }
  /** Same elements in row-major order, other extents. */
  | { readonly op: "reshape"; readonly of: Expression; readonly shape: readonly number[] }
  /** Elements `[start, end)` of `axis`. */
  | {
      readonly op: "slice";
      readonly of: Expression;
      readonly axis: number;
      readonly start: number;
      readonly end: number;
    }
  /** Axis `k` of the result is axis `axes[k]` of the operand. */
  | { readonly op: "permute"; readonly of: Expression; readonly axes: readonly number[] }
  /** `x + 1`, in the source's dtype or in float32 (formats.md §4.3). */
  | { readonly op: "add1"; readonly of: Expression; readonly in: "source" | "float32" }
  /** Cast to the parameter's dtype first, then divided by 2^power in it. */
  | { readonly op: "divide-pow2"; readonly of: Expression; readonly power: number }
  /** `exp(-exp(x))` in float32. */
  | { readonly op: "exp-neg-exp"; readonly of: Expression }
  /** Every extent of 1 is repeated to the extent in `shape`; ranks are equal. */
  | { readonly op: "broadcast"; readonly of: Expression; readonly shape: readonly number[] }
  /** The first of several sources, all of which must be close to it: |a - first| <= 1e-8 + 1e-5 |first|. */
  | { readonly op: "first-if-close"; readonly parts: readonly Expression[] };

/** What a node is; decides what a scheme does with it (architectures.md §2.0.1). */
export type ParameterKind = "linear" | "embedding" | "experts" | "bias" | "norm" | "raw";

/** Marks the vocabulary dimension of which any size is accepted; the real size is stored. */
export const ANY_VOCAB = "vocab" as const;
export type Extent = number | typeof ANY_VOCAB;

/** How tensor parallelism cuts a parameter. */
export interface ShardStrategy {
  readonly name: string;
  readonly dim: number;
  /** Lengths per worker of the segments along `dim`; absent for one segment. */
  readonly segments?: readonly number[];
}

/** One parameter of the unquantized model. */
export interface Parameter {
  readonly name: string;
  readonly kind: ParameterKind;
  /** Per-worker shape: what `tensor_parallel_shards` divides is divided here. */
  readonly shape: readonly Extent[];
  /** Pinned dtype; absent: the scheme's model dtype. */
  readonly dtype?: DType;
  /** Inside a no-quantization scope (honoured by group and block-scale schemes only). */
  readonly noQuant?: boolean;
  /** The linear's output dtype is float32 (matters to q4f16_ft only). */
  readonly float32Output?: boolean;
  readonly value: Expression;
  readonly shard?: ShardStrategy;
}
