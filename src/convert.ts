import { resolve } from "node:path";
import type { OnEvent } from "./core/events.ts";
import { type ExecuteOptions, writeOutput } from "./execute/write-output.ts";
import { type ConversionRequest, planConversion } from "./plan-conversion.ts";
import { type ConversionReport, reportOf } from "./report/conversion-report.ts";
import { sourceFacts } from "./source-facts.ts";
import { indexFiles } from "./tensor-cache/index-file.ts";
import { VERSION } from "./version.ts";

export interface ConvertRequest extends ConversionRequest, ExecuteOptions {
  /** Folder that the result is put into. */
  readonly output: string;
  /** Also write the index under the name that older runtimes ask for; default true. */
  readonly legacyIndex?: boolean;
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
  const onEvent = deps.onEvent ?? ((): void => {});
  const started = performance.now();
  onEvent({ type: "phase", phase: "plan" });
  const { plan, layout } = await planConversion(request);
  for (const message of plan.notices) onEvent({ type: "notice", message });
  const written = await writeOutput(
    {
      plan,
      layout,
      target: resolve(request.output),
      version: VERSION,
      facts: await sourceFacts(plan, request),
      closingFiles: (results) => {
        const { tensors, metadata } = plan;
        return indexFiles({ tensors, metadata, layout, results }, request.legacyIndex ?? true).map(
          ({ name, text }) => ({ name, content: text }),
        );
      },
    },
    request,
    { onEvent, signal: deps.signal },
  );
  onEvent({ type: "phase", phase: "done" });
  return reportOf({ plan, layout, written, milliseconds: performance.now() - started });
}
