import type { OutputRequest } from "./execute/write-output.ts";
import type { ConversionRequest, PlannedConversion } from "./plan-conversion.ts";
import { sourceFacts } from "./source-facts.ts";
import { indexFiles } from "./tensor-cache/index-file.ts";
import { VERSION } from "./version.ts";

type OutputOptions = Omit<ConversionRequest, "quantization"> & {
  /** Absolute path of the folder. */
  readonly output: string;
  readonly legacyIndex?: boolean;
};

/** What is to be written of a planned conversion: its shards, and behind them its index files. */
export async function conversionOutput(
  { plan, layout }: PlannedConversion,
  options: OutputOptions,
): Promise<OutputRequest> {
  const { tensors, metadata } = plan;
  return {
    plan,
    layout,
    target: options.output,
    version: VERSION,
    facts: await sourceFacts(plan, options),
    closingFiles: (results) =>
      indexFiles({ tensors, metadata, layout, results }, options.legacyIndex ?? true).map(
        ({ name, text }) => ({ name, content: text }),
      ),
  };
}
