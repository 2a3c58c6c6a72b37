import type { Layout, ShardResult } from "../core/layout.ts";
import { type QualityInput, qualityOf, type TensorQuality } from "./statistics.ts";

/** What a finished conversion is reported as; the same facts on the screen and as JSON. */
export interface ConversionReport {
  readonly architecture: string;
  readonly quantization: string;
  readonly sourceFormat: string;
  readonly output: string;
  /** False where only some shards were asked for: they lie in the staging folder `output`. */
  readonly complete: boolean;
  readonly backend: string;
  readonly threads: number;
  /** Tensors, shards and bytes of shards that lie in `output`. */
  readonly tensors: number;
  readonly shards: number;
  readonly nbytes: number;
  /** Shards of the whole result. */
  readonly shardsInAll: number;
  /** Shards taken over from an earlier run. */
  readonly resumedShards: number;
  /** Bytes of parameters in memory, as upstream counts them. */
  readonly parameterBytes: number;
  /** Elements of all source tensors that were used. */
  readonly parameters: number;
  /** As in the index; upstream counts files again that it loads again. */
  readonly bitsPerParameter: number;
  /** Parameter bits over the used source elements. */
  readonly trueBitsPerParameter: number;
  readonly unused: readonly string[];
  readonly notices: readonly string[];
  readonly milliseconds: number;
  /** Milliseconds summed over threads. */
  readonly phases: Readonly<Record<string, number>>;
  /** What every tensor lost, where the run measured it. */
  readonly statistics?: readonly TensorQuality[];
}

export interface ReportInput {
  readonly plan: {
    readonly architecture: string;
    readonly scheme: { readonly name: string };
    readonly sourceFormat: string;
    readonly tensors: QualityInput["tensors"];
    readonly metadata: {
      readonly paramBytes: number;
      readonly bitsPerParam: number;
      readonly sourceParameters: number;
    };
    readonly unused: readonly string[];
    readonly notices: readonly string[];
  };
  readonly layout: Layout;
  readonly written: {
    readonly folder: string;
    readonly complete: boolean;
    readonly backend: string;
    readonly threads: number;
    readonly resumed: number;
    readonly results: ReadonlyMap<number, ShardResult>;
    /** Nanoseconds. */
    readonly phases: Readonly<Record<string, number>>;
  };
  readonly milliseconds: number;
}

/** Gathers what is worth telling about a finished conversion. */
export function reportOf({ plan, layout, written, milliseconds }: ReportInput): ConversionReport {
  const { paramBytes, bitsPerParam, sourceParameters } = plan.metadata;
  const present = layout.shards.filter((_, index) => written.results.has(index));
  const statistics = qualityOf({ tensors: plan.tensors, layout, results: written.results });
  return {
    architecture: plan.architecture,
    quantization: plan.scheme.name,
    sourceFormat: plan.sourceFormat,
    output: written.folder,
    complete: written.complete,
    backend: written.backend,
    threads: written.threads,
    tensors: new Set(present.flatMap(({ tensors }) => tensors.map(({ tensor }) => tensor))).size,
    shards: present.length,
    nbytes: present.reduce((sum, { nbytes }) => sum + nbytes, 0),
    shardsInAll: layout.shards.length,
    resumedShards: written.resumed,
    parameterBytes: paramBytes,
    parameters: sourceParameters,
    bitsPerParameter: bitsPerParam,
    trueBitsPerParameter: (paramBytes * 8) / sourceParameters,
    unused: plan.unused,
    notices: plan.notices,
    milliseconds,
    phases: Object.fromEntries(Object.entries(written.phases).map(([name, ns]) => [name, ns / 1e6])),
    ...(statistics.length > 0 ? { statistics } : {}),
  };
}
