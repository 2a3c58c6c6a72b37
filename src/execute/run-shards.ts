import { join } from "node:path";
import type { OnEvent } from "../core/events.ts";
import type { Layout, Shard, ShardResult } from "../core/layout.ts";
import type { TensorStatistics } from "../core/statistics.ts";
import type { CheckpointFile } from "../core/tensor-info.ts";
import {
  type JobDevice,
  type JobOptions,
  type JobProgress,
  type NativeJob,
  STATISTICS,
} from "../native/addon.ts";
import type { OutputTensor } from "../plan/plan.ts";
import type { Budget } from "./budget.ts";
import { openJob, translated } from "./native-job.ts";
import { encodeShard } from "./program.ts";
import { type Schedule, type ScheduledShard, schedule } from "./schedule.ts";

/** One output's part of a run. */
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
  /** A shard is finished and, with `sync`, durable. */
  readonly onShard: (index: number, result: ShardResult) => void;
}

export interface RunSettings {
  readonly backend: string;
  /** The GPU that computes what it can; the backend does the rest. */
  readonly device?: JobDevice;
  readonly budget: Budget;
  readonly sync: boolean;
  readonly map: boolean;
  /** Compare what is made with what it is made from. */
  readonly measured: boolean;
}

export interface RunHooks {
  readonly onEvent: OnEvent;
  readonly signal?: AbortSignal | undefined;
}

/** Where the time of a run went, in nanoseconds summed over threads. */
export type RunPhases = Omit<JobProgress, "bytes">;

const PROGRESS_INTERVAL_MS = 100;

/**
 * Makes all shards of all outputs that are not finished yet: reads, computes, hashes and writes them within
 * the budget.
 *
 * @returns the results of all shards, output by output, and where the time went
 * @throws {CheckpointError} where a source cannot be read or has changed
 * @throws {OutputError} where a shard cannot be written, `E_DISK_FULL` among them
 */
export async function runShards(
  inputs: readonly RunInput[],
  settings: RunSettings,
  hooks: RunHooks,
): Promise<RunOutcome> {
  hooks.signal?.throwIfAborted();
  const { files, sources } = mergeFiles(inputs);
  const job = openJob(jobOptions(files, settings));
  const { shards, pairs } = schedule(inputs.flatMap((input, output) => shardsLeft(input, output, sources)));
  shards.forEach((one, id) => {
    addShard(job, inputs[one.output] as RunInput, { id, measured: settings.measured, pairs, ...one });
  });
  const results = inputs.map(({ finished }) => new Map(finished));
  const tell = progressTeller(inputs, { job, shards, results, onEvent: hooks.onEvent });
  const stop = (): void => job.cancel();
  const timer = setInterval(tell, PROGRESS_INTERVAL_MS);
  hooks.signal?.addEventListener("abort", stop, { once: true });
  try {
    await job.start((id, md5, statistics) => {
      const { output, index, shard } = shards[id] as ScheduledShard;
      const result = settings.measured ? { md5, statistics: statisticsOf(statistics) } : { md5 };
      results[output]?.set(index, result);
      inputs[output]?.onShard(index, result);
      hooks.onEvent({ type: "shard", path: shard.path, nbytes: shard.nbytes, md5 });
    });
    tell();
    tellDeviceFailure(job, settings, hooks.onEvent);
  } catch (error) {
    hooks.signal?.throwIfAborted();
    throw translated(error);
  } finally {
    clearInterval(timer);
    hooks.signal?.removeEventListener("abort", stop);
  }
  const { bytes: _, ...phases } = job.progress();
  return { results, phases };
}

export interface RunOutcome {
  /** Results by shard, one map an output. */
  readonly results: readonly ReadonlyMap<number, ShardResult>[];
  readonly phases: RunPhases;
}

/** The files of all outputs, each once, and the numbers under which each output knows them. */
function mergeFiles(inputs: readonly RunInput[]): {
  readonly files: readonly CheckpointFile[];
  readonly sources: readonly (readonly number[])[];
} {
  const numbers = new Map<string, number>();
  const files: CheckpointFile[] = [];
  const sources = inputs.map((input) =>
    input.files.map((file) => {
      const number = numbers.get(file.path) ?? files.push(file) - 1;
      numbers.set(file.path, number);
      return number;
    }),
  );
  return { files, sources };
}

function shardsLeft(
  { layout, tensors, finished, skip }: RunInput,
  output: number,
  sources: readonly (readonly number[])[],
): readonly ScheduledShard[] {
  return layout.shards.flatMap((shard, index) => {
    if (finished.has(index) || skip?.(index)) return [];
    return [{ output, index, shard, tensors, sources: sources[output] ?? [] }];
  });
}

interface Telling {
  readonly job: NativeJob;
  readonly shards: readonly ScheduledShard[];
  readonly results: readonly ReadonlyMap<number, ShardResult>[];
  readonly onEvent: OnEvent;
}

function progressTeller(inputs: readonly RunInput[], { job, shards, results, onEvent }: Telling): () => void {
  const kept = inputs.flatMap(({ layout, finished }) =>
    layout.shards.filter((_, index) => finished.has(index)),
  );
  const keptBytes = sumBytes(kept);
  const totalBytes = keptBytes + sumBytes(shards.map(({ shard }) => shard));
  const totalShards = kept.length + shards.length;
  return () => {
    const finished = results.reduce((sum, { size }) => sum + size, 0);
    const bytes = keptBytes + job.progress().bytes;
    onEvent({ type: "progress", bytes, totalBytes, shards: finished, totalShards });
  };
}

const sumBytes = (shards: readonly Shard[]): number => shards.reduce((sum, { nbytes }) => sum + nbytes, 0);

function jobOptions(files: readonly CheckpointFile[], settings: RunSettings): JobOptions {
  const { backend, budget, device, sync, map } = settings;
  const sources = files.map(({ path, size }) => ({ path, size }));
  return { sources, backend, ...budget, sync, map, ...(device && { device }) };
}

/** A GPU that was not insisted on may fail in the middle: the result is the same, but not what made it. */
function tellDeviceFailure(job: NativeJob, { device }: RunSettings, onEvent: OnEvent): void {
  const failure = job.deviceFailure();
  if (!device || failure === undefined) return;
  const message = `${device.name} failed, and the CPU did the rest: ${failure}`;
  onEvent({ type: "notice", message });
}

/** In the order of cpp/kernels/kernels.h `Statistics`. */
function statisticsOf(numbers: Float64Array): readonly TensorStatistics[] {
  return Array.from({ length: numbers.length / STATISTICS }, (_, piece) => {
    const at = (index: number): number => numbers[piece * STATISTICS + index] as number;
    const counts = { elements: at(0), nonFinite: at(1), overflowed: at(2) };
    const groups = { zeroGroups: at(3), infiniteScales: at(4) };
    return { ...counts, ...groups, maxError: at(5), squaredError: at(6), squaredValue: at(7) };
  });
}

interface NumberedShard extends ScheduledShard, Pick<Schedule, "pairs"> {
  readonly id: number;
  readonly measured: boolean;
}

function addShard(
  job: NativeJob,
  { folder, layout }: RunInput,
  { id, measured, pairs, shard, tensors, sources }: NumberedShard,
): void {
  const { float32AsBfloat16 } = layout;
  job.addShard({
    id,
    path: folder === "" ? "" : join(folder, shard.path),
    fileOffset: shard.fileOffset,
    truncate: shard.fileOffset === 0,
    nbytes: shard.nbytes,
    measured,
    program: encodeShard(tensors, shard, { float32AsBfloat16, sources, pairs }),
  });
}
