import { basename, resolve } from "node:path";
import { type ChatOptions, makeChatFiles } from "./chat-files.ts";
import type { OnEvent } from "./core/events.ts";
import type { ShardResult } from "./core/layout.ts";
import { keyDigest } from "./execute/journal.ts";
import { type ExecuteOptions, type ExtraFile, writeOutput } from "./execute/write-output.ts";
import type { OpenDeps } from "./open-model.ts";
import {
  type ConversionRequest,
  type PlannedConversion,
  planConversion,
  planModel,
} from "./plan-conversion.ts";
import { givenOptions, provenanceFile } from "./provenance.ts";
import { type ConversionReport, reportOf } from "./report/conversion-report.ts";
import { sourceFacts } from "./source-facts.ts";
import { indexFiles } from "./tensor-cache/index-file.ts";
import { VERSION } from "./version.ts";

export interface ConvertRequest extends ConversionRequest, ExecuteOptions {
  /** Folder that the result is put into. */
  readonly output: string;
  /** Also write the index under the name that older runtimes ask for; default true. */
  readonly legacyIndex?: boolean;
  /** Only shards and index: no chat config, tokenizer files or provenance. */
  readonly weightsOnly?: boolean;
  /** Write mlc-convert.json, which says where the result comes from; default true. */
  readonly manifest?: boolean;
  readonly chat?: ChatOptions;
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
  const started = performance.now();
  const world = { onEvent: deps.onEvent ?? ((): void => {}), signal: deps.signal };
  world.onEvent({ type: "phase", phase: "plan" });
  const planned = await fetchPlanned(await planConversion(request, world), request, world);
  const chat = await chatFiles(planned, request);
  const { plan, layout } = planned;
  const notices = [...plan.notices, ...chat.notices];
  for (const message of notices) world.onEvent({ type: "notice", message });
  const facts = await sourceFacts(plan, request);
  const written = await writeOutput(
    {
      plan,
      layout,
      target: resolve(request.output),
      version: VERSION,
      facts,
      closingFiles: (results) => closingFiles({ planned, request, chat: chat.files, results, facts }),
    },
    request,
    world,
  );
  world.onEvent({ type: "phase", phase: "done" });
  return reportOf({ plan: { ...plan, notices }, layout, written, milliseconds: performance.now() - started });
}

/** Downloads a planned model that is still on the hub, and plans it again where it now lies. */
async function fetchPlanned(
  planned: PlannedConversion,
  request: ConvertRequest,
  deps: OpenDeps,
): Promise<PlannedConversion> {
  const { fetch } = planned.model;
  if (!fetch) return planned;
  deps.onEvent({ type: "phase", phase: "download" });
  const model = await fetch({ folder: resolve(request.output), nbytes: planned.layout.nbytes });
  return planModel(model, request);
}

interface SideFiles {
  readonly files: readonly ExtraFile[];
  readonly notices: readonly string[];
}

async function chatFiles(
  { model, architecture }: PlannedConversion,
  request: ConvertRequest,
): Promise<SideFiles> {
  if (request.weightsOnly || model.folder === undefined) return { files: [], notices: [] };
  const { config, folder, origin } = model;
  const { quantization } = request;
  return makeChatFiles(
    { architecture, config, folder, name: basename(origin.id), quantization },
    request.chat ?? {},
  );
}

interface Closing {
  readonly planned: PlannedConversion;
  readonly request: ConvertRequest;
  readonly chat: readonly ExtraFile[];
  readonly results: readonly ShardResult[];
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Everything beside the shards, in writing order: the index is the last. */
async function closingFiles({
  planned,
  request,
  chat,
  results,
  facts,
}: Closing): Promise<readonly ExtraFile[]> {
  const { plan, layout, model } = planned;
  const { tensors, metadata } = plan;
  const index = indexFiles({ tensors, metadata, layout, results }, request.legacyIndex ?? true).map(
    ({ name, text }) => ({ name, content: text }),
  );
  if (request.weightsOnly || request.manifest === false) return [...chat, ...index];
  const files = [...chat, ...index];
  const conversion = {
    modelType: plan.architecture,
    quantization: plan.scheme.name,
    backend: request.backend ?? "auto",
    options: givenOptions({ ...request, model: undefined, output: undefined }),
    planDigest: keyDigest({ version: VERSION, facts, layout }),
  };
  return [await provenanceFile({ origin: model.origin, conversion, files }), ...files];
}
