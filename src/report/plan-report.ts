import type { Layout, PlacedTensor } from "../core/layout.ts";
import type { ReportInput } from "./conversion-report.ts";

/** One line of a printed plan. */
export interface PlanRow {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly encoding: string;
  readonly nbytes: number;
  readonly shard: string;
  readonly byteOffset: number;
  readonly sources: readonly string[];
}

/** A plan as facts for people and programs. */
export interface PlanReport {
  readonly architecture: string;
  readonly quantization: string;
  readonly sourceFormat: string;
  readonly tensors: readonly PlanRow[];
  readonly totals: {
    readonly tensors: number;
    readonly shards: number;
    readonly nbytes: number;
    readonly parameterBytes: number;
    readonly parameters: number;
    readonly bitsPerParameter: number;
  };
  readonly unused: readonly string[];
  readonly notices: readonly string[];
}

interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly encoding: { readonly kind: string };
  readonly sources: readonly string[];
}

export interface PlanReportInput {
  readonly plan: Omit<ReportInput["plan"], "tensors"> & { readonly tensors: readonly PlannedTensor[] };
  readonly layout: Layout;
}

/** False for the later pieces of a tensor that is made in several shards. */
const isBeginning = ({ rows }: PlacedTensor): boolean => (rows?.start ?? 0) === 0;

/** Lists every output tensor with its sources and its place. */
export function planReport({ plan, layout }: PlanReportInput): PlanReport {
  const sizes = new Map<number, number>();
  const placements = layout.shards.flatMap((shard) => shard.tensors);
  for (const { tensor, nbytes } of placements) sizes.set(tensor, (sizes.get(tensor) ?? 0) + nbytes);
  const tensors = layout.shards.flatMap((shard) =>
    shard.tensors.filter(isBeginning).map((placed): PlanRow => {
      const { name, shape, dtype, encoding, sources } = plan.tensors[placed.tensor] as PlannedTensor;
      const { byteOffset } = placed;
      const nbytes = sizes.get(placed.tensor) ?? placed.nbytes;
      return { name, shape, dtype, encoding: encoding.kind, nbytes, shard: shard.path, byteOffset, sources };
    }),
  );
  return {
    architecture: plan.architecture,
    quantization: plan.scheme.name,
    sourceFormat: plan.sourceFormat,
    tensors,
    totals: {
      tensors: tensors.length,
      shards: layout.shards.length,
      nbytes: layout.nbytes,
      parameterBytes: plan.metadata.paramBytes,
      parameters: plan.metadata.sourceParameters,
      bitsPerParameter: plan.metadata.bitsPerParam,
    },
    unused: plan.unused,
    notices: plan.notices,
  };
}
