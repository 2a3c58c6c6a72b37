import { basename, join, resolve } from "node:path";
import { conversionOutput, isGgufFile, type OutputOptions } from "./conversion-output.ts";
import { UsageError } from "./core/errors.ts";
import type { OnEvent } from "./core/events.ts";
import { checkOutput } from "./execute/check-target.ts";
import { type ExecuteOptions, type WrittenOutput, writeOutputs } from "./execute/write-output.ts";
import type { OpenDeps, OpenedModel } from "./open-model.ts";
import { planConversion } from "./plan-conversion.ts";
import { type PlannedConversion, planModel } from "./plan-model.ts";
import type { MemoryWishes } from "./recommend.ts";
import { type ConversionReport, reportOf } from "./report/conversion-report.ts";
import { settleQuantizations } from "./settle-quantizations.ts";

export interface ConvertRequest extends OutputOptions, ExecuteOptions, MemoryWishes {
  /** Upstream's name of the scheme, e.g. `q4f16_1`; `auto` for the best that fits this machine's memory. */
  readonly quantization: string;
  /** Folder that the result is put into; `{quantization}` in it stands for the scheme's name. */
  readonly output: string;
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
 * Converts a checkpoint: plan it from headers, fetch what is not here, lay out every byte, make the bytes, index
 * them, report.
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
  const started = performance.now();
  const world = { onEvent: deps.onEvent ?? ((): void => {}), signal: deps.signal };
  const { quantizations, model } = await settleQuantizations(request, world);
  const targets = outputFolders(request.output, quantizations);
  world.onEvent({ type: "phase", phase: "plan" });
  const planned = await planAll({ ...request, quantizations }, { targets, model }, world);
  const outputs = await Promise.all(
    planned.map((one, index) => conversionOutput(one, { ...request, output: targets[index] as string })),
  );
  const notices = outputs.map((output, index) => [
    ...(planned[index]?.plan.notices ?? []),
    ...output.notices,
  ]);
  for (const message of new Set(notices.flat())) world.onEvent({ type: "notice", message });
  const written = await writeOutputs(
    outputs.map((output) => output.request),
    request,
    world,
  );
  world.onEvent({ type: "phase", phase: "done" });
  const milliseconds = performance.now() - started;
  return planned.map(({ plan, layout }, index) => {
    const told = { ...plan, notices: notices[index] ?? [] };
    return reportOf({ plan: told, layout, written: written[index] as WrittenOutput, milliseconds });
  });
}

/** Plans every scheme from headers; then brings a model of the hub here and plans again where it now lies. */
async function planAll(
  request: ConvertManyRequest,
  {
    targets,
    model: opened,
  }: { readonly targets: readonly string[]; readonly model: OpenedModel | undefined },
  deps: OpenDeps,
): Promise<readonly PlannedConversion[]> {
  const [first, ...others] = request.quantizations.map((quantization, index) => ({
    ...request,
    quantization,
    ...fileNameOf(request, targets[index] as string),
  }));
  if (!first) throw noScheme();
  const planned = [opened ? await planModel(opened, first) : await planConversion(first, deps)];
  const [{ model }] = planned as [PlannedConversion];
  for (const other of others) planned.push(await planModel(model, other));
  if (!model.fetch) return planned;
  await checkBeforeFetching(planned, targets, request);
  deps.onEvent({ type: "phase", phase: "download" });
  const nbytes = planned.reduce((sum, one) => sum + one.layout.nbytes, 0);
  const local = await model.fetch({ folder: resolve(request.output), nbytes });
  return Promise.all([first, ...others].map((one) => planModel(local, one)));
}

/** What can fail for reasons that are known already fails before weights are fetched. */
async function checkBeforeFetching(
  planned: readonly PlannedConversion[],
  targets: readonly string[],
  { force = false, chat = {}, weightsOnly }: ConvertManyRequest,
): Promise<void> {
  for (const target of targets) await checkOutput(target, { force, single: isGgufFile(target) });
  const [{ model, target }] = planned as [PlannedConversion];
  if (weightsOnly || target.kind !== "mlc") return;
  const { checkChatOptions } = await import("./chat-files.ts");
  checkChatOptions(target.architecture, model.config, chat);
}

/** A GGUF file that is named as the output gets that name. */
function fileNameOf({ format }: ConvertManyRequest, target: string): { readonly fileName?: string } {
  return format === "gguf" && isGgufFile(target) ? { fileName: basename(target) } : {};
}

const PLACEHOLDER = "{quantization}";

const noScheme = (): UsageError => new UsageError("E_OPTION", "expected a quantization scheme, found none");

/**
 * Where the results go: `{quantization}` in `output` is replaced by the scheme's name; without it one scheme
 * goes into `output` itself, and several go into folders of their names in it.
 * @returns absolute paths, one a scheme
 * @throws {UsageError} where no scheme or one scheme twice is named
 */
export function outputFolders(output: string, quantizations: readonly string[]): readonly string[] {
  if (quantizations.length === 0) throw noScheme();
  if (new Set(quantizations).size < quantizations.length) {
    throw new UsageError("E_OPTION", `expected each scheme once, found ${quantizations.join(", ")}`);
  }
  if (quantizations.length > 1 && isGgufFile(output) && !output.includes(PLACEHOLDER)) {
    throw new UsageError("E_OPTION", `${output} cannot hold ${quantizations.join(" and ")}`, {
      hint: `put ${PLACEHOLDER} into the name, or name a folder`,
    });
  }
  return quantizations.map((name) => {
    if (output.includes(PLACEHOLDER)) return resolve(output.replaceAll(PLACEHOLDER, name));
    return resolve(quantizations.length === 1 ? output : join(output, name));
  });
}
