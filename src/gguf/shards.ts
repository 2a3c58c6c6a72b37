import type { FileFrame, Layout, PlacedTensor, Shard } from "../core/layout.ts";
import type { GgufFileLayout, GgufPlacedTensor } from "./layout.ts";

/** Shards end when they hold this much, so that threads can make them side by side. */
const SHARD_BYTES = 32 * 2 ** 20;

/** What the tensors of a layout are made of. */
export interface GgufContents {
  /** The plan's number of a tensor; `undefined` for one that is a constant. */
  readonly tensorOf: (index: number) => number | undefined;
  /** Bytes of a constant. */
  readonly constantOf: (index: number) => Uint8Array;
}

/** The parts of GGUF files that are made from weights, and everything else in them. */
export interface GgufShards {
  readonly layout: Layout;
  readonly frames: readonly FileFrame[];
}

/** Cuts files into shards: runs of neighbouring tensors without padding between them. */
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

function fileShards({ name, tensors }: GgufFileLayout, { tensorOf }: GgufContents): readonly Shard[] {
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
    const tensor = tensorOf(index);
    if (tensor === undefined) continue;
    if (byteOffset !== end || end + nbytes - start > SHARD_BYTES) flush();
    if (pending.length === 0) start = byteOffset;
    pending.push({ tensor, byteOffset: byteOffset - start, nbytes });
    end = byteOffset + nbytes;
  }
  flush();
  return shards;
}

function frameOf({ name, header, tensors, size }: GgufFileLayout, contents: GgufContents): FileFrame {
  const isConstant = ({ index }: GgufPlacedTensor): boolean => contents.tensorOf(index) === undefined;
  const constants = tensors.filter(isConstant).map(({ index, byteOffset }) => ({
    fileOffset: byteOffset,
    bytes: contents.constantOf(index),
  }));
  return { path: name, size, parts: [...constants, { fileOffset: 0, bytes: header }] };
}
