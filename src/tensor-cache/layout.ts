import { byteLength, type DType, elementCount } from "../core/dtype.ts";
import type { Layout, PlacedTensor, Shard } from "../core/layout.ts";

/** What the layout needs to know of an output tensor. */
export interface TensorRecord {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Shards hold less than this unless one tensor alone is larger (formats.md §3.1). */
export const SHARD_CAP_BYTES: number = 32 * 2 ** 20;

/** Bytes of a tensor in this format: float32 is stored as bfloat16. */
export function storedBytes({ dtype, shape }: TensorRecord): number {
  return byteLength(dtype === "float32" ? "bfloat16" : dtype, elementCount(shape)) as number;
}

/**
 * Packs tensors into shards as upstream does: a pending buffer is flushed when the next tensor would fill it,
 * and a tensor of at least half the cap that does not fit is written alone, ahead of what is pending.
 */
export function layOut(tensors: readonly TensorRecord[]): Layout {
  const shards: Shard[] = [];
  let pending: PlacedTensor[] = [];
  let size = 0;
  const close = (placed: readonly PlacedTensor[], nbytes: number): void => {
    shards.push({ path: `params_shard_${shards.length}.bin`, fileOffset: 0, nbytes, tensors: placed });
  };
  const flush = (): void => {
    if (size > 0) close(pending, size);
    pending = [];
    size = 0;
  };
  tensors.forEach((record, tensor) => {
    const nbytes = storedBytes(record);
    if (size + nbytes >= SHARD_CAP_BYTES) {
      if (2 * nbytes >= SHARD_CAP_BYTES) {
        close([{ tensor, byteOffset: 0, nbytes }], nbytes);
        return;
      }
      flush();
    }
    pending.push({ tensor, byteOffset: size, nbytes });
    size += nbytes;
  });
  flush();
  return { shards, float32AsBfloat16: true, nbytes: shards.reduce((sum, shard) => sum + shard.nbytes, 0) };
}
