import { join } from "node:path";
import { CheckpointError, KernelError, MlcConvertError, OutputError } from "../core/errors.ts";
import type { OnEvent } from "../core/events.ts";
import type { Layout, Shard, ShardResult } from "../core/layout.ts";
import type { CheckpointFile } from "../core/tensor-info.ts";
import { createJob, type JobProgress, type NativeJob } from "../native/addon.ts";
import type { OutputTensor } from "../plan/plan.ts";
import type { Budget } from "./budget.ts";
import { encodeShard } from "./program.ts";

export interface RunInput {
  readonly files: readonly CheckpointFile[];
  readonly tensors: readonly OutputTensor[];
  readonly layout: Layout;
  /** Folder that the shards' paths are relative to. */
  readonly folder: string;
  /** Shards that are already finished, by index. */
  readonly finished: ReadonlyMap<number, ShardResult>;
  /** Shards to leave out; the layout's others are made. Default: none. */
  readonly skip?: (shard: number) => boolean;
}

export interface RunSettings {
  readonly backend: string;
  readonly budget: Budget;
  readonly sync: boolean;
  readonly map: boolean;
}

export interface RunHooks {
  /** A shard is finished and, with `sync`, durable. */
  readonly onShard: (index: number, result: ShardResult) => void;
  readonly onEvent: OnEvent;
  readonly signal?: AbortSignal | undefined;
}

/** Where the time of a run went, in nanoseconds summed over threads. */
export type RunPhases = Omit<JobProgress, "bytes">;

const PROGRESS_INTERVAL_MS = 100;

/**
 * Makes all shards that are not finished yet: reads, computes, hashes and writes them within the budget.
 *
 * @returns the results of all shards in order, and where the time went
 * @throws {CheckpointError} where a source cannot be read or has changed
 * @throws {OutputError} where a shard cannot be written, `E_DISK_FULL` among them
 */
export async function runShards(
  input: RunInput,
  settings: RunSettings,
  hooks: RunHooks,
): Promise<RunOutcome> {
  const results = new Map(input.finished);
  const started = input.layout.shards.flatMap((shard, index) => (results.has(index) ? [shard] : []));
  const done = { bytes: sumBytes(started), shards: started.length };
  hooks.signal?.throwIfAborted();
  const job = openJob(input, settings);
  const left = input.layout.shards.flatMap((shard, index) => {
    return results.has(index) || input.skip?.(index) ? [] : [{ shard, index }];
  });
  for (const { shard, index } of left) addShard(job, input, { shard, index });
  const total = done.bytes + sumBytes(left.map(({ shard }) => shard));
  const tell = (): void => {
    hooks.onEvent({
      type: "progress",
      bytes: done.bytes + job.progress().bytes,
      totalBytes: total,
      shards: results.size,
      totalShards: started.length + left.length,
    });
  };
  const stop = (): void => job.cancel();
  const timer = setInterval(tell, PROGRESS_INTERVAL_MS);
  hooks.signal?.addEventListener("abort", stop, { once: true });
  try {
    await job.start((index, md5) => {
      results.set(index, { md5 });
      const { path, nbytes } = input.layout.shards[index] as Shard;
      hooks.onShard(index, { md5 });
      hooks.onEvent({ type: "shard", path, nbytes, md5 });
    });
    tell();
  } catch (error) {
    hooks.signal?.throwIfAborted();
    throw translate(error);
  } finally {
    clearInterval(timer);
    hooks.signal?.removeEventListener("abort", stop);
  }
  const { bytes: _, ...phases } = job.progress();
  return { results, phases };
}

export interface RunOutcome {
  readonly results: ReadonlyMap<number, ShardResult>;
  readonly phases: RunPhases;
}

const sumBytes = (shards: readonly Shard[]): number => shards.reduce((sum, { nbytes }) => sum + nbytes, 0);

function openJob(input: RunInput, settings: RunSettings): NativeJob {
  const { threads, lanes, tileBytes } = settings.budget;
  const sources = input.files.map(({ path, size }) => ({ path, size }));
  const { backend, sync, map } = settings;
  try {
    return createJob({ sources, backend, threads, lanes, tileBytes, sync, map });
  } catch (error) {
    throw translate(error);
  }
}

function addShard(job: NativeJob, input: RunInput, { shard, index }: { shard: Shard; index: number }): void {
  job.addShard({
    id: index,
    path: input.folder === "" ? "" : join(input.folder, shard.path),
    fileOffset: shard.fileOffset,
    truncate: shard.fileOffset === 0,
    nbytes: shard.nbytes,
    program: encodeShard(input.tensors, shard, input.layout),
  });
}

const HINTS: Readonly<Record<string, string>> = {
  E_DISK_FULL: "make room and run the same command again: it continues where it stopped",
  E_SOURCE_CHANGED: "the file changed since its header was read; run the command again",
};

/** An error of the addon as an error of this package. */
function translate(error: unknown): unknown {
  if (error instanceof MlcConvertError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error;
  const hint = HINTS[code];
  const details = hint === undefined ? { cause: error } : { cause: error, hint };
  if (code.startsWith("E_SOURCE")) return new CheckpointError(code, error.message, details);
  if (code === "E_DISK_FULL" || code.startsWith("E_OUTPUT"))
    return new OutputError(code, error.message, details);
  return new KernelError(code, error.message, details);
}
