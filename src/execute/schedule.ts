import type { PlacedTensor, Shard } from "../core/layout.ts";
import type { OutputTensor } from "../plan/plan.ts";
import type { Value } from "../plan/value.ts";

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

/** An order of shards, and what they keep for each other. */
export interface Schedule {
  readonly shards: readonly ScheduledShard[];
  /** Words and the scales that are kept from making them have the same number, from 1. */
  readonly pairs: ReadonlyMap<PlacedTensor, number>;
}

/** A shard is one stream that is hashed in order, so a longer one than this must not be the last to begin. */
const LONG_BYTES = 64 * 2 ** 20;

/** Where a shard's first byte comes from: the job's source and the offset in it. */
type Position = readonly [source: number, byteOffset: number];

/**
 * The order in which shards are begun. Of one output: longest first. Of several outputs: long ones first, then
 * all that are made from the same place of the source behind each other, so that they are in flight together
 * and the source passes through memory once. A shard that waits for others' scales counts as a part of them.
 */
export function schedule(shards: readonly ScheduledShard[]): Schedule {
  const outputs = new Set(shards.map(({ output }) => output));
  const positions = new Map(shards.map((one) => [one, positionOf(one)] as const));
  const { pairs, behind } = pairScales(shards);
  const length = (one: ScheduledShard): number => {
    const { nbytes } = one.shard;
    return outputs.size === 1 || nbytes > LONG_BYTES ? nbytes + (behind.get(one) ?? 0) : 0;
  };
  const sorted = [...shards].sort((a, b) => {
    const [sourceA, offsetA] = positions.get(a) as Position;
    const [sourceB, offsetB] = positions.get(b) as Position;
    const place = outputs.size === 1 ? 0 : sourceA - sourceB || offsetA - offsetB;
    return length(b) - length(a) || place || a.output - b.output || a.index - b.index;
  });
  return { shards: sorted, pairs };
}

interface Pairing {
  readonly pairs: ReadonlyMap<PlacedTensor, number>;
  /** Bytes of the shards that wait for this one. */
  readonly behind: ReadonlyMap<ScheduledShard, number>;
}

/**
 * Which scales are kept from making their words. Where those are in another shard, their shard waits for that
 * one; but one that is waited for does not wait itself, so no chain of shards is made one by one.
 */
function pairScales(shards: readonly ScheduledShard[]): Pairing {
  const pairs = new Map<PlacedTensor, number>();
  const behind = new Map<ScheduledShard, number>();
  const waiting = new Set<ScheduledShard>();
  const words = new Map<Value, { readonly one: ScheduledShard; readonly placed: PlacedTensor }>();
  for (const one of [...shards].sort((a, b) => a.output - b.output || a.index - b.index)) {
    for (const placed of one.shard.tensors) {
      const { encoding, value } = one.tensors[placed.tensor] as OutputTensor;
      if (encoding.kind === "group-words" || encoding.kind === "fp8-values")
        words.set(value, { one, placed });
      if (encoding.kind !== "group-scales" && encoding.kind !== "fp8-scale") continue;
      const made = words.get(value);
      if (made?.one.output !== one.output) continue;
      if (made.one !== one && (waiting.has(made.one) || behind.has(one))) continue;
      const number = pairs.size / 2 + 1;
      pairs.set(made.placed, number).set(placed, number);
      if (made.one === one) continue;
      waiting.add(one);
      behind.set(made.one, (behind.get(made.one) ?? 0) + one.shard.nbytes);
    }
  }
  return { pairs, behind };
}

function positionOf({ shard, tensors, sources }: ScheduledShard): Position {
  const blocks = shard.tensors.flatMap(({ tensor }) => tensors[tensor]?.value.gather.blocks ?? []);
  const places = blocks.map(({ tensor }): Position => [sources[tensor.file] as number, tensor.byteOffset]);
  places.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return places[0] ?? [0, 0];
}
