import type { TensorInfo } from "../core/tensor-info.ts";

/** One tensor of one file; the file itself is known from the context. */
export type FileTensor = Omit<TensorInfo, "file">;

/** What one weight file holds. */
export interface FileContent {
  /** In the file's own order: data order for safetensors, dictionary order for `.bin`. */
  readonly tensors: readonly FileTensor[];
  /** Names whose value was `None`: they exist but hold nothing. */
  readonly empty: readonly string[];
  readonly notices: readonly string[];
}
