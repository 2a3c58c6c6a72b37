import type { Shard } from "../core/layout.ts";
import type { OutputTensor } from "../plan/plan.ts";

/** A shard of one of several outputs. */
export interface ScheduledShard {
  readonly output: number;
  readonly index: number;
  readonly shard: Shard;
  /** The plan's tensors that the shard's are among. */
  readonly tensors: readonly OutputTensor[];
  /** The job's number of each of the plan's files. */
  readonly sources: readonly number[];
}

/** A shard is one stream that is hashed in order, so a longer one than this must not be the last to begin. */
const LONG_BYTES = 64 * 2 ** 20;

/** Where a shard's first byte comes from: the job's source and the offset in it. */
type Position = readonly [source: number, byteOffset: number];

/**
 * The order in which shards are begun. Of one output: longest first. Of several outputs: long ones first, then
 * all that are made from the same place of the source behind each other, so that they are in flight together
 * and the source passes through memory once.
 */
export function schedule(shards: readonly ScheduledShard[]): readonly ScheduledShard[] {
  const outputs = new Set(shards.map(({ output }) => output));
  const positions = new Map(shards.map((one) => [one, positionOf(one)] as const));
  const length = ({ shard }: ScheduledShard): number =>
    outputs.size === 1 || shard.nbytes > LONG_BYTES ? shard.nbytes : 0;
  return [...shards].sort((a, b) => {
    const [sourceA, offsetA] = positions.get(a) as Position;
    const [sourceB, offsetB] = positions.get(b) as Position;
    const place = outputs.size === 1 ? 0 : sourceA - sourceB || offsetA - offsetB;
    return length(b) - length(a) || place || a.output - b.output || a.index - b.index;
  });
}

function positionOf({ shard, tensors, sources }: ScheduledShard): Position {
  const blocks = shard.tensors.flatMap(({ tensor }) => tensors[tensor]?.value.gather.blocks ?? []);
  const places = blocks.map(({ tensor }): Position => [sources[tensor.file] as number, tensor.byteOffset]);
  places.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return places[0] ?? [0, 0];
}
