import type { FileFrame, Layout, PlacedTensor, Shard } from "../core/layout.ts";
import type { GgufFileLayout, GgufPlacedTensor } from "./layout.ts";

/** Shards end when they hold this much, so that threads can make them side by side. */
const SHARD_BYTES = 32 * 2 ** 20;

/** What the tensors of a layout are made of. */
export interface GgufContents {
  /** The plan's number of a tensor; `undefined` for one that is a constant. */
  readonly tensorOf: (index: number) => number | undefined;
  /** Rows that a tensor can be cut into; `undefined` for one that must be made in one go. */
  readonly rowsOf: (index: number) => number | undefined;
  /** Bytes of a constant. */
  readonly constantOf: (index: number) => Uint8Array;
}

/** The parts of GGUF files that are made from weights, and everything else in them. */
export interface GgufShards {
  readonly layout: Layout;
  readonly frames: readonly FileFrame[];
}

/**
 * Cuts files into shards: runs of neighbouring tensors without padding between them, and of large tensors runs of
 * rows, so that one of them does not keep one thread busy alone.
 */
export function ggufShards(files: readonly GgufFileLayout[], contents: GgufContents): GgufShards {
  const shards = files.flatMap((file) => fileShards(file, contents));
  return {
    layout: {
      shards,
      float32AsBfloat16: false,
      nbytes: shards.reduce((sum, { nbytes }) => sum + nbytes, 0),
    },
    frames: files.map((file) => frameOf(file, contents)),
  };
}

function fileShards({ name, tensors }: GgufFileLayout, contents: GgufContents): readonly Shard[] {
  const shards: Shard[] = [];
  let pending: PlacedTensor[] = [];
  let start = 0;
  let end = 0;
  const flush = (): void => {
    if (pending.length > 0)
      shards.push({ path: name, fileOffset: start, nbytes: end - start, tensors: pending });
    pending = [];
  };
  for (const { index, byteOffset, nbytes } of tensors) {
    const tensor = contents.tensorOf(index);
    if (tensor === undefined) continue;
    const rows = contents.rowsOf(index);
    if (nbytes > SHARD_BYTES && rows !== undefined) {
      flush();
      shards.push(...rowShards({ path: name, fileOffset: byteOffset, nbytes, tensor, rows }));
      continue;
    }
    if (byteOffset !== end || end + nbytes - start > SHARD_BYTES) flush();
    if (pending.length === 0) start = byteOffset;
    pending.push({ tensor, byteOffset: byteOffset - start, nbytes });
    end = byteOffset + nbytes;
  }
  flush();
  return shards;
}

interface LargeTensor {
  readonly path: string;
  readonly fileOffset: number;
  readonly nbytes: number;
  readonly tensor: number;
  readonly rows: number;
}

/** Shards of about equally many rows of one tensor. */
function rowShards({ path, fileOffset, nbytes, tensor, rows }: LargeTensor): readonly Shard[] {
  const rowBytes = nbytes / rows;
  const pieces = Math.min(Math.ceil(nbytes / SHARD_BYTES), rows);
  const startOf = (piece: number): number => Math.floor((rows * piece) / pieces);
  return Array.from({ length: pieces }, (_, piece): Shard => {
    const start = startOf(piece);
    const count = startOf(piece + 1) - start;
    const size = count * rowBytes;
    const placed = { tensor, byteOffset: 0, nbytes: size, rows: { start, count } };
    return { path, fileOffset: fileOffset + start * rowBytes, nbytes: size, tensors: [placed] };
  });
}

function frameOf({ name, header, tensors, size }: GgufFileLayout, contents: GgufContents): FileFrame {
  const isConstant = ({ index }: GgufPlacedTensor): boolean => contents.tensorOf(index) === undefined;
  const constants = tensors.filter(isConstant).map(({ index, byteOffset }) => ({
    fileOffset: byteOffset,
    bytes: contents.constantOf(index),
  }));
  return { path: name, size, parts: [...constants, { fileOffset: 0, bytes: header }] };
}
