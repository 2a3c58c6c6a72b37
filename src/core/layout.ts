import type { TensorStatistics } from "./statistics.ts";

/** One output tensor's place in a file. */
export interface PlacedTensor {
  /** Index into the plan's tensors. */
  readonly tensor: number;
  /** Offset within the shard's bytes. */
  readonly byteOffset: number;
  /** Bytes as stored. */
  readonly nbytes: number;
  /** Only these rows of the tensor's rows × cols elements; absent: all of them. */
  readonly rows?: { readonly start: number; readonly count: number };
}

/**
 * A run of output bytes that is made, written and hashed in order, independently of all others.
 * Sizes alone decide shards, so a layout fixes every byte's place before any weight is read.
 */
export interface Shard {
  /** File name relative to the output folder. */
  readonly path: string;
  /** Where in that file the shard begins. */
  readonly fileOffset: number;
  readonly nbytes: number;
  /** In order, without holes. */
  readonly tensors: readonly PlacedTensor[];
}

/** Where every output byte lies. */
export interface Layout {
  readonly shards: readonly Shard[];
  /** True if float32 tensors are stored as bfloat16. */
  readonly float32AsBfloat16: boolean;
  /** Sum over the shards. */
  readonly nbytes: number;
}

/** Bytes of a file that are known without reading a weight. */
export interface FilePart {
  readonly fileOffset: number;
  readonly bytes: Uint8Array;
}

/** What a file holds besides its shards; what neither fills is zero. */
export interface FileFrame {
  /** File name relative to the output folder. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** In writing order: the last one makes the file a whole. */
  readonly parts: readonly FilePart[];
}

/** What the run found out about one shard. */
export interface ShardResult {
  /** 32 lower-case hexadecimal digits. */
  readonly md5: string;
  /** One for each of the shard's tensors, where the run measured them. */
  readonly statistics?: readonly TensorStatistics[];
}
