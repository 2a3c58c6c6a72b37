import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import type { ConvertEvent, OnEvent } from "../core/events.ts";
import type { Layout, ShardResult } from "../core/layout.ts";
import { chooseBackend } from "../native/addon.ts";
import type { Plan } from "../plan/plan.ts";
import { budgetOf, DEFAULT_MAX_MEMORY } from "./budget.ts";
import { checkCloseValues } from "./close-values.ts";
import { hashFiles } from "./hash-files.ts";
import { type Journal, openJournal } from "./journal.ts";
import { type RunPhases, type RunSettings, runShards } from "./run-shards.ts";
import { checkDiskSpace, keepOnly, openStaging, type Staging, writeWhole } from "./staging.ts";

/** A small file that goes beside the shards: text, or a copy of another file. */
export type ExtraFile =
  | { readonly name: string; readonly content: string | Uint8Array }
  | { readonly name: string; readonly copyOf: string };

export interface OutputRequest {
  readonly plan: Plan;
  readonly layout: Layout;
  readonly target: string;
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
  /** Worker threads; default: all processors. */
  readonly threads?: number;
  /** Bytes of anonymous memory the process may reach. */
  readonly maxMemory?: number;
  readonly force?: boolean;
  /** Make everything durable; default true. */
  readonly sync?: boolean;
  /** Map the sources; false: read them in pieces. Default true. */
  readonly map?: boolean;
  /** Make only these shards, leave the result in the staging folder, publish nothing. */
  readonly onlyShards?: readonly [first: number, last: number];
}

export interface ExecuteDeps {
  readonly onEvent: OnEvent;
  readonly signal?: AbortSignal | undefined;
}

export interface WrittenOutput {
  /** The finished folder; the staging folder when only some shards were asked for. */
  readonly folder: string;
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
 * @throws {KernelError} for a backend that cannot run
 */
export async function writeOutput(
  request: OutputRequest,
  options: ExecuteOptions,
  deps: ExecuteDeps,
): Promise<WrittenOutput> {
  const settings = settingsOf(options);
  await checkCloseValues(request.plan.files, request.plan.tensors);
  const staging = await openStaging(request.target, { force: options.force ?? false, sync: settings.sync });
  try {
    return await fillStaging(staging, request, { options, settings, deps });
  } finally {
    await staging.release();
  }
}

function settingsOf(options: ExecuteOptions): RunSettings {
  const threads = options.threads ?? cpus().length;
  return {
    backend: chooseBackend(options.backend ?? "auto"),
    budget: budgetOf(threads, options.maxMemory ?? DEFAULT_MAX_MEMORY),
    sync: options.sync ?? true,
    map: options.map ?? true,
  };
}

interface Context {
  readonly options: ExecuteOptions;
  readonly settings: RunSettings;
  readonly deps: ExecuteDeps;
}

async function fillStaging(
  staging: Staging,
  request: OutputRequest,
  context: Context,
): Promise<WrittenOutput> {
  const { options, settings, deps } = context;
  const { plan, layout, version, facts } = request;
  const journal = openJournal(staging.folder, { version, facts, layout }, settings.sync);
  try {
    const finished = await verifyFinished(staging.folder, layout, { journal, context });
    await keepOnly(
      staging.folder,
      new Set([...finished.keys()].map((index) => layout.shards[index]?.path ?? "")),
    );
    await checkDiskSpace(staging.folder, missingBytes(layout, finished));
    deps.onEvent({ type: "phase", phase: "convert" });
    const range = options.onlyShards;
    const { results, phases } = await runShards(
      {
        files: plan.files,
        tensors: plan.tensors,
        layout,
        folder: staging.folder,
        finished,
        ...(range ? { skip: (index: number) => index < range[0] || index > range[1] } : {}),
      },
      settings,
      { onEvent: deps.onEvent, signal: deps.signal, onShard: (index, result) => journal.note(index, result) },
    );
    const written = {
      backend: settings.backend,
      threads: settings.budget.threads,
      resumed: finished.size,
      phases,
    };
    if (range) return { folder: staging.folder, results, ...written };
    deps.onEvent({ type: "phase", phase: "write-index" });
    const ordered = layout.shards.map((_, index) => results.get(index) as ShardResult);
    for (const file of await request.closingFiles(ordered)) {
      const content = "copyOf" in file ? await readFile(file.copyOf) : file.content;
      await writeWhole(join(staging.folder, file.name), content, settings.sync);
    }
    await staging.publish();
    return { folder: staging.target, results, ...written };
  } finally {
    journal.close();
  }
}

function missingBytes(layout: Layout, finished: ReadonlyMap<number, ShardResult>): number {
  return layout.shards.reduce((sum, { nbytes }, index) => (finished.has(index) ? sum : sum + nbytes), 0);
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
  const paths = indices.map((index) => join(folder, layout.shards[index]?.path ?? ""));
  const digests = await hashFiles(paths, { ...settings, signal: deps.signal });
  const kept = indices.flatMap((index, at) => {
    const result = journal.finished.get(index) as ShardResult;
    return digests[at] === result.md5 ? [[index, result] as const] : [];
  });
  notice(`continuing an earlier run: ${kept.length} of ${layout.shards.length} shards are kept`);
  return new Map(kept);
}
