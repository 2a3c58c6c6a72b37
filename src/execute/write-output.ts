import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { anySignal } from "../core/any-signal.ts";
import type { ConvertEvent, OnEvent } from "../core/events.ts";
import type { FileFrame, Layout, Shard, ShardResult } from "../core/layout.ts";
import { chooseBackend } from "../native/addon.ts";
import { chooseDevice } from "../native/cuda.ts";
import type { Plan } from "../plan/plan.ts";
import { budgetOf, DEFAULT_MAX_MEMORY, deviceBudgetOf } from "./budget.ts";
import { checkCloseValues } from "./close-values.ts";
import { type HashedPart, hashFiles } from "./hash-files.ts";
import { type Journal, openJournal } from "./journal.ts";
import { refuseNonFinite } from "./refuse-non-finite.ts";
import { type RunInput, type RunPhases, type RunSettings, runShards } from "./run-shards.ts";
import { checkShardRange, type ShardRange } from "./shard-range.ts";
import { checkDiskSpace, keepOnly, openStaging, type Staging, writeFrame, writeWhole } from "./staging.ts";

/** A small file that goes beside the shards: text, or a copy of another file. */
export type ExtraFile =
  | { readonly name: string; readonly content: string | Uint8Array }
  | { readonly name: string; readonly copyOf: string };

export interface OutputRequest {
  readonly plan: Plan;
  readonly layout: Layout;
  /** Absolute path of the folder, or of the one file where `single` says so. */
  readonly target: string;
  /** The output is one file, the layout's only one. */
  readonly single?: boolean;
  /** What the files of shards hold besides them; written when all shards are finished. */
  readonly frames?: readonly FileFrame[];
  /** Identifies tool, source and options: what must be equal for an earlier run's shards to be kept. */
  readonly version: string;
  readonly facts: Readonly<Record<string, unknown>>;
  /**
   * The files that depend on the shards' hashes, in the order in which they are written.
   * The last one says that the output is complete.
   */
  readonly closingFiles: (results: readonly ShardResult[]) => Promise<readonly ExtraFile[]>;
}

export interface ExecuteOptions {
  /** Name of a backend, or `auto`. */
  readonly backend?: string;
  /** Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for a GPU if one can be used. Default `cpu`. */
  readonly device?: string;
  /** Worker threads; default: one a processor, as far as memory goes. */
  readonly threads?: number;
  /** Bytes of anonymous memory the process may reach. */
  readonly maxMemory?: number;
  readonly force?: boolean;
  /** Make everything durable; default true. */
  readonly sync?: boolean;
  /** Map the sources; false: read them in pieces. Default true. */
  readonly map?: boolean;
  /** Make only these shards, leave the result in the staging folder, publish nothing. */
  readonly onlyShards?: ShardRange;
  /** Compare what is made with what it is made from, in the same pass. */
  readonly stats?: boolean;
  /** Publish nothing when a weight is not finite or does not fit the scheme's dtype. */
  readonly strict?: boolean;
}

export interface ExecuteDeps {
  readonly onEvent: OnEvent;
  readonly signal?: AbortSignal | undefined;
}

export interface WrittenOutput {
  /** The finished folder or file; the staging folder when it is not complete. */
  readonly folder: string;
  /** Whether all shards were asked for, and published. */
  readonly complete: boolean;
  /** The backend's name, or the GPU's: `cuda:0`. */
  readonly backend: string;
  readonly threads: number;
  readonly results: ReadonlyMap<number, ShardResult>;
  /** Shards that were taken over from an earlier run. */
  readonly resumed: number;
  readonly phases: RunPhases;
}

/**
 * Carries out a plan: everything is staged beside the target, made durable, and renamed into place.
 *
 * @throws {OutputError} where the target cannot take the result
 * @throws {CheckpointError} where a source is not what its header said
 * @throws {KernelError} for a backend or a device that cannot run
 */
export async function writeOutput(
  request: OutputRequest,
  options: ExecuteOptions,
  deps: ExecuteDeps,
): Promise<WrittenOutput> {
  const [written] = await writeOutputs([request], options, deps);
  return written as WrittenOutput;
}

/**
 * Carries out several plans in one run. Each output has its own staging folder and journal, and is published
 * when all shards of all outputs are made.
 *
 * @returns what was written, in the order of the requests
 * @throws as {@link writeOutput}
 */
export async function writeOutputs(
  requests: readonly OutputRequest[],
  options: ExecuteOptions,
  deps: ExecuteDeps,
): Promise<readonly WrittenOutput[]> {
  if (options.onlyShards) checkShardRange(options.onlyShards, requests);
  const context = { options, settings: await settingsOf(options, deps.onEvent), deps };
  const opened: OpenOutput[] = [];
  try {
    for (const request of requests) {
      await checkCloseValues(request.plan.files, request.plan.tensors);
      opened.push(await openOutput(request, context));
    }
    return await fill(opened, context);
  } finally {
    for (const { journal, staging } of opened) {
      journal.close();
      await staging.release();
    }
  }
}

async function settingsOf(options: ExecuteOptions, onEvent: OnEvent): Promise<RunSettings> {
  const { device, notice } = await chooseDevice(options.device ?? "cpu");
  if (notice !== undefined) onEvent({ type: "notice", message: notice });
  const budget = device ? deviceBudgetOf : budgetOf;
  return {
    backend: chooseBackend(options.backend ?? "auto"),
    ...(device && { device }),
    budget: budget(options.threads, options.maxMemory ?? DEFAULT_MAX_MEMORY),
    sync: options.sync ?? true,
    map: options.map ?? true,
    measured: (options.stats ?? false) || (options.strict ?? false),
  };
}

interface Context {
  readonly options: ExecuteOptions;
  readonly settings: RunSettings;
  readonly deps: ExecuteDeps;
}

/** An output whose staging folder is locked and holds what is kept of an earlier run. */
interface OpenOutput {
  readonly request: OutputRequest;
  readonly staging: Staging;
  readonly journal: Journal;
  readonly finished: ReadonlyMap<number, ShardResult>;
}

async function openOutput(request: OutputRequest, context: Context): Promise<OpenOutput> {
  const { options, settings } = context;
  const { layout, version, facts } = request;
  const staging = await openStaging(request.target, {
    force: options.force ?? false,
    sync: settings.sync,
    single: request.single ?? false,
    signal: context.deps.signal,
    onWait: () => {
      const message = `waiting to see whether another process still writes ${request.target}`;
      context.deps.onEvent({ type: "notice", message });
    },
  });
  let journal: Journal | undefined;
  try {
    const measured = settings.measured ? { measured: true } : {};
    const key = { version, layout, facts: { ...facts, ...measured } };
    journal = openJournal(staging.folder, key, settings.sync);
    const finished = await verifyFinished(staging.folder, layout, { journal, context });
    const kept = [...finished.keys()].map((index) => layout.shards[index]?.path ?? "");
    await keepOnly(staging.folder, new Set(kept));
    return { request, staging, journal, finished };
  } catch (error) {
    journal?.close();
    await staging.release();
    throw error;
  }
}

async function fill(outputs: readonly OpenOutput[], context: Context): Promise<readonly WrittenOutput[]> {
  const { options, settings, deps } = context;
  const inputs = outputs.map((output) => runInput(output, options.onlyShards));
  const total = inputs.reduce((sum, input) => sum + missingBytes(input), 0);
  if (outputs[0]) await checkDiskSpace(outputs[0].staging.folder, total);
  deps.onEvent({ type: "phase", phase: "convert" });
  const stops = outputs.map(({ staging }) => staging.lost);
  const signal = anySignal(deps.signal ? [deps.signal, ...stops] : stops);
  const run = await runShards(inputs, settings, { onEvent: deps.onEvent, signal });
  for (const [index, { request }] of outputs.entries()) {
    if (options.strict)
      refuseNonFinite(request.plan.tensors, request.layout, run.results[index] ?? new Map());
  }
  if (!options.onlyShards) deps.onEvent({ type: "phase", phase: "write-index" });
  const written: WrittenOutput[] = [];
  for (const [index, output] of outputs.entries()) {
    const results = run.results[index] ?? new Map<number, ShardResult>();
    const folder = options.onlyShards ? output.staging.folder : await publish(output, results, settings.sync);
    const { budget } = settings;
    const backend = settings.device?.name ?? settings.backend;
    const resumed = output.finished.size;
    const complete = !options.onlyShards;
    written.push({
      folder,
      complete,
      backend,
      threads: budget.threads,
      results,
      resumed,
      phases: run.phases,
    });
  }
  return written;
}

function runInput(
  { request, staging, journal, finished }: OpenOutput,
  range: ShardRange | undefined,
): RunInput {
  const { plan, layout } = request;
  return {
    files: plan.files,
    tensors: plan.tensors,
    layout,
    folder: staging.folder,
    finished,
    onShard: (index, result) => journal.note(index, result),
    ...(range ? { skip: (index: number) => index < range[0] || index > range[1] } : {}),
  };
}

/** Writes the closing files, the last of which makes the output complete, and renames the folder into place. */
async function publish(
  { request, staging, journal }: OpenOutput,
  results: ReadonlyMap<number, ShardResult>,
  sync: boolean,
): Promise<string> {
  journal.close();
  const ordered = request.layout.shards.map((_, index) => results.get(index) as ShardResult);
  for (const file of await request.closingFiles(ordered)) {
    const content = "copyOf" in file ? await readFile(file.copyOf) : file.content;
    await writeWhole(join(staging.folder, file.name), content, sync);
  }
  for (const frame of request.frames ?? []) await writeFrame(staging.folder, frame, sync);
  await staging.publish();
  return staging.target;
}

function missingBytes({ layout, finished, skip }: RunInput): number {
  const missing = layout.shards.filter((_, index) => !finished.has(index) && !skip?.(index));
  return missing.reduce((sum, { nbytes }) => sum + nbytes, 0);
}

/** Keeps those shards of an earlier run whose bytes are still what the journal says. */
async function verifyFinished(
  folder: string,
  layout: Layout,
  { journal, context }: { journal: Journal; context: Context },
): Promise<ReadonlyMap<number, ShardResult>> {
  const { settings, deps } = context;
  const notice = (message: string): void => deps.onEvent({ type: "notice", message } satisfies ConvertEvent);
  if (journal.restartReason) notice(`starting afresh: ${journal.restartReason}`);
  if (journal.finished.size === 0) return new Map();
  const indices = [...journal.finished.keys()];
  const parts = indices.map((index) => partOf(folder, layout.shards[index] as Shard));
  const digests = await hashFiles(parts, { ...settings, signal: deps.signal });
  const kept = indices.flatMap((index, at) => {
    const result = journal.finished.get(index) as ShardResult;
    return digests[at] === result.md5 ? [[index, result] as const] : [];
  });
  notice(`continuing an earlier run: ${kept.length} of ${layout.shards.length} shards are kept`);
  return new Map(kept);
}

function partOf(folder: string, { path, fileOffset, nbytes }: Shard): HashedPart {
  return { path: join(folder, path), range: { start: fileOffset, nbytes } };
}
