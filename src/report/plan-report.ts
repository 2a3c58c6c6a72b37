import type { Layout } from "../core/layout.ts";
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

/** Lists every output tensor with its sources and its place. */
export function planReport({ plan, layout }: PlanReportInput): PlanReport {
  const tensors = layout.shards.flatMap((shard) =>
    shard.tensors.map((placed): PlanRow => {
      const { name, shape, dtype, encoding, sources } = plan.tensors[placed.tensor] as PlannedTensor;
      const { nbytes, byteOffset } = placed;
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
