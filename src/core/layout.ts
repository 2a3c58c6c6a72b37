/** One output tensor's place in a file. */
export interface PlacedTensor {
  /** Index into the plan's tensors. */
  readonly tensor: number;
  /** Offset within the shard's bytes. */
  readonly byteOffset: number;
  /** Bytes as stored. */
  readonly nbytes: number;
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

/** What the run found out about one shard. */
export interface ShardResult {
  /** 32 lower-case hexadecimal digits. */
  readonly md5: string;
}
