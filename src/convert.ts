import { join, resolve } from "node:path";
import { conversionOutput } from "./conversion-output.ts";
import { UsageError } from "./core/errors.ts";
import type { OnEvent } from "./core/events.ts";
import { type ExecuteOptions, type WrittenOutput, writeOutputs } from "./execute/write-output.ts";
import { type ConversionRequest, type PlannedConversion, planConversion } from "./plan-conversion.ts";
import { type ConversionReport, reportOf } from "./report/conversion-report.ts";

export interface ConvertRequest extends ConversionRequest, ExecuteOptions {
  /** Folder that the result is put into; `{quantization}` in it stands for the scheme's name. */
  readonly output: string;
  /** Also write the index under the name that older runtimes ask for; default true. */
  readonly legacyIndex?: boolean;
}

/** Several results of one model. */
export interface ConvertManyRequest extends Omit<ConvertRequest, "quantization"> {
  /** Upstream's names of the schemes; each once. */
  readonly quantizations: readonly string[];
}

/** The outside world. */
export interface ConvertDeps {
  readonly onEvent?: OnEvent;
  /** Stops the run; what is finished stays for the next one. */
  readonly signal?: AbortSignal;
}

/**
 * Converts a checkpoint: plan it from headers, lay out every byte, make the bytes, index them, report.
 *
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause; the target is untouched
 */
export async function convert(request: ConvertRequest, deps: ConvertDeps = {}): Promise<ConversionReport> {
  const [report] = await convertMany({ ...request, quantizations: [request.quantization] }, deps);
  return report as ConversionReport;
}

/**
 * Converts a checkpoint to several schemes at once: shards that are made from the same weights are made
 * together, so that the source is read once. Each result is staged, resumed and published by itself, into the
 * folder of {@link outputFolders}.
 *
 * @returns a report a scheme, in their order
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function convertMany(
  request: ConvertManyRequest,
  deps: ConvertDeps = {},
): Promise<readonly ConversionReport[]> {
  const onEvent = deps.onEvent ?? ((): void => {});
  const started = performance.now();
  const targets = outputFolders(request.output, request.quantizations);
  onEvent({ type: "phase", phase: "plan" });
  const planned: PlannedConversion[] = [];
  for (const quantization of request.quantizations) {
    planned.push(await planConversion({ ...request, quantization }));
  }
  const notices = new Set(planned.flatMap(({ plan }) => plan.notices));
  for (const message of notices) onEvent({ type: "notice", message });
  const outputs = await Promise.all(
    planned.map((one, index) => conversionOutput(one, { ...request, output: targets[index] as string })),
  );
  const written = await writeOutputs(outputs, request, { onEvent, signal: deps.signal });
  onEvent({ type: "phase", phase: "done" });
  const milliseconds = performance.now() - started;
  return planned.map(({ plan, layout }, index) =>
    reportOf({ plan, layout, written: written[index] as WrittenOutput, milliseconds }),
  );
}

const PLACEHOLDER = "{quantization}";

/**
 * Where the results go: `{quantization}` in `output` is replaced by the scheme's name; without it one scheme
 * goes into `output` itself, and several go into folders of their names in it.
 * @returns absolute paths, one a scheme
 * @throws {UsageError} where no scheme or one scheme twice is named
 */
export function outputFolders(output: string, quantizations: readonly string[]): readonly string[] {
  if (quantizations.length === 0)
    throw new UsageError("E_OPTION", "expected a quantization scheme, found none");
  if (new Set(quantizations).size < quantizations.length) {
    throw new UsageError("E_OPTION", `expected each scheme once, found ${quantizations.join(", ")}`);
  }
  return quantizations.map((name) => {
    if (output.includes(PLACEHOLDER)) return resolve(output.replaceAll(PLACEHOLDER, name));
    return resolve(quantizations.length === 1 ? output : join(output, name));
  });
}
