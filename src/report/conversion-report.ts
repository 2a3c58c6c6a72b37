import type { Layout } from "../core/layout.ts";

/** What a finished conversion is reported as; the same facts on the screen and as JSON. */
export interface ConversionReport {
  readonly architecture: string;
  readonly quantization: string;
  readonly sourceFormat: string;
  readonly output: string;
  readonly backend: string;
  readonly threads: number;
  readonly tensors: number;
  readonly shards: number;
  /** Shards taken over from an earlier run. */
  readonly resumedShards: number;
  /** Bytes of all shards. */
  readonly nbytes: number;
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
}

export interface ReportInput {
  readonly plan: {
    readonly architecture: string;
    readonly scheme: { readonly name: string };
    readonly sourceFormat: string;
    readonly tensors: readonly unknown[];
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
    readonly backend: string;
    readonly threads: number;
    readonly resumed: number;
    /** Nanoseconds. */
    readonly phases: Readonly<Record<string, number>>;
  };
  readonly milliseconds: number;
}

/** Gathers what is worth telling about a finished conversion. */
export function reportOf({ plan, layout, written, milliseconds }: ReportInput): ConversionReport {
  const { paramBytes, bitsPerParam, sourceParameters } = plan.metadata;
  return {
    architecture: plan.architecture,
    quantization: plan.scheme.name,
    sourceFormat: plan.sourceFormat,
    output: written.folder,
    backend: written.backend,
    threads: written.threads,
    tensors: plan.tensors.length,
    shards: layout.shards.length,
    resumedShards: written.resumed,
    nbytes: layout.nbytes,
    parameterBytes: paramBytes,
    parameters: sourceParameters,
    bitsPerParameter: bitsPerParam,
    trueBitsPerParameter: (paramBytes * 8) / sourceParameters,
    unused: plan.unused,
    notices: plan.notices,
    milliseconds,
    phases: Object.fromEntries(Object.entries(written.phases).map(([name, ns]) => [name, ns / 1e6])),
  };
}
