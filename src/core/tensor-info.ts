import type { DType } from "./dtype.ts";

/** What a checkpoint says about one tensor, without its bytes. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Row-major extents; `[]` for a scalar. */
  readonly shape: readonly number[];
  /** Element strides, one an axis; absent for a contiguous row-major tensor. */
  readonly strides?: readonly number[];
  /** Index into the checkpoint's `files`. */
  readonly file: number;
  /** Where the first element (index 0, 0, …) lies in the file, in bytes. */
  readonly byteOffset: number;
  /** Bytes from `byteOffset` to the end of the last element that the tensor touches. */
  readonly nbytes: number;
}

/** One file that tensors lie in. */
export interface CheckpointFile {
  /** Absolute path, or an address for a remote file of which only the header was read. */
  readonly path: string;
  /** Name relative to the checkpoint's folder, for messages and reports. */
  readonly name: string;
  /** Size in bytes when the header was read; execution refuses a file whose size has changed. */
  readonly size: number;
}

/** Where the weights come from. The first three are upstream's spellings. */
export type SourceFormat = "huggingface-safetensor" | "huggingface-torch" | "awq" | "gguf";

/** All tensors of a model, in the order that decides the output's order (reference order of names). */
export interface Checkpoint {
  readonly format: SourceFormat;
  readonly files: readonly CheckpointFile[];
  /**
   * Tensors by name, iterated in source order: files in order of first appearance are *not* yet grouped;
   * the order is that of the index (or of the lone file). Grouping by file is the plan's job.
   */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * For each file, every tensor stored in it: name and number of elements. Holds tensors that the index does
   * not list too, because upstream counts them in `BitsPerParam`. Names whose value was `None` are absent.
   */
  readonly stored: readonly (readonly StoredTensor[])[];
  /** True when one file was given directly: it stays loaded for the whole run (formats.md §6.2). */
  readonly singleFile: boolean;
  /** Things worth telling the user that are no errors, one sentence each. */
  readonly notices: readonly string[];
  /** Tensors whose stored values differ from what their name promises; absent where none does. */
  readonly storedForms?: ReadonlyMap<string, StoredForm>;
}

/** How a stored tensor differs from the one that model code expects under its name. */
export type StoredForm =
  /** Rows of each head alternate between its halves; un-done by a permutation of rows. */
  | { readonly kind: "interleaved-heads"; readonly heads: number }
  /** Every value is one too large. */
  | { readonly kind: "plus-one" };

export interface StoredTensor {
  readonly name: string;
  readonly elements: number;
}
