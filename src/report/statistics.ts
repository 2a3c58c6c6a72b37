import type { Layout, ShardResult } from "../core/layout.ts";
import type { TensorStatistics } from "../core/statistics.ts";

/** How well one stored tensor stands for its source. */
export interface TensorQuality {
  /** Name of the stored tensor; of a quantized one that of its values. */
  readonly tensor: string;
  readonly encoding: string;
  readonly elements: number;
  readonly maxError: number;
  readonly rmsError: number;
  /** 10 log10 of the source's power over the error's; `null` where nothing was lost or all values are zero. */
  readonly signalToNoiseDb: number | null;
  readonly zeroGroups: number;
  readonly infiniteScales: number;
  /** Elements that are NaN or infinite in the source. */
  readonly nonFinite: number;
  /** Elements that are too large for the dtype of the scheme. */
  readonly overflowed: number;
}

export interface QualityInput {
  readonly tensors: readonly { readonly name: string; readonly encoding: { readonly kind: string } }[];
  readonly layout: Layout;
  readonly results: ReadonlyMap<number, ShardResult>;
}

/** One row for every tensor whose elements were looked at, in output order. */
export function qualityOf({ tensors, layout, results }: QualityInput): readonly TensorQuality[] {
  const sums = new Map<number, TensorStatistics>();
  for (const [index, shard] of layout.shards.entries()) {
    for (const [at, { tensor }] of shard.tensors.entries()) {
      const statistics = results.get(index)?.statistics?.[at];
      if (statistics) sums.set(tensor, sumOf(sums.get(tensor), statistics));
    }
  }
  return [...sums].flatMap(([number, statistics]): readonly TensorQuality[] => {
    const tensor = tensors[number];
    if (!tensor || statistics.elements === 0) return [];
    const { elements, maxError, squaredError, squaredValue } = statistics;
    const { zeroGroups, infiniteScales, nonFinite, overflowed } = statistics;
    const decibels = 10 * Math.log10(squaredValue / squaredError);
    return [
      {
        tensor: tensor.name,
        encoding: tensor.encoding.kind,
        elements,
        maxError,
        rmsError: Math.sqrt(squaredError / elements),
        signalToNoiseDb: Number.isFinite(decibels) ? decibels : null,
        zeroGroups,
        infiniteScales,
        nonFinite,
        overflowed,
      },
    ];
  });
}

/** A tensor that is made in several pieces is measured in as many. */
function sumOf(before: TensorStatistics | undefined, now: TensorStatistics): TensorStatistics {
  if (!before) return now;
  const names = Object.keys(now) as (keyof TensorStatistics)[];
  const sums = names.map((name) => [name, before[name] + now[name]] as const);
  return {
    ...(Object.fromEntries(sums) as unknown as TensorStatistics),
    maxError: Math.max(before.maxError, now.maxError),
  };
}

/** The tensors that lost most, worst first. */
export function worstOf(rows: readonly TensorQuality[], count: number): readonly TensorQuality[] {
  const lossy = rows.filter(({ signalToNoiseDb }) => signalToNoiseDb !== null);
  lossy.sort((a, b) => (a.signalToNoiseDb ?? 0) - (b.signalToNoiseDb ?? 0));
  return lossy.slice(0, count);
}
