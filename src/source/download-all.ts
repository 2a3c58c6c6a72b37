import { anySignal } from "../core/any-signal.ts";
import { UsageError } from "../core/errors.ts";
import { ConnectionGate } from "./connection-gate.ts";
import type { SourceDeps } from "./deps.ts";
import type { DownloadContext } from "./download-file.ts";
import { DEFAULT_TIMING, type Timing, throwIfAborted } from "./retry.ts";
import { Throttle } from "./throttle.ts";

/** How hard to download. */
export interface DownloadOptions {
  /** Files in flight; default 4. */
  readonly files?: number;
  /** Connections for one file; default 4. */
  readonly ranges?: number;
  /** Most bytes a connection can lose in a crash; default 16 MiB. */
  readonly rangeBytes?: number;
  /** For all files together; default unlimited. */
  readonly bytesPerSecond?: number;
  readonly timing?: Timing;
}

/** One thing to be fetched. */
export interface DownloadJob {
  readonly name: string;
  readonly size: number;
  /** Does nothing when the file turns out to be there already. */
  readonly run: (context: DownloadContext) => Promise<void>;
}

/**
 * Runs jobs, `files` at a time. The first failure for good cancels the rest; what is verified stays.
 * @throws the first failure; {UsageError} E_OPTION for counts below 1
 */
export async function downloadAll(
  jobs: readonly DownloadJob[],
  deps: SourceDeps,
  options: DownloadOptions = {},
): Promise<void> {
  const files = counted("the number of files", options.files ?? 4);
  const ranges = counted("the number of ranges", options.ranges ?? 4);
  const timing = options.timing ?? DEFAULT_TIMING;
  const stop = new AbortController();
  const signal = deps.signal ? anySignal([stop.signal, deps.signal]) : stop.signal;
  const now = () => performance.now();
  const context: DownloadContext = {
    deps,
    gate: new ConnectionGate({ max: files * ranges, windowMs: timing.windowMs, now }),
    throttle: new Throttle(options.bytesPerSecond ?? Number.POSITIVE_INFINITY, now),
    timing,
    ranges,
    rangeBytes: options.rangeBytes ?? 16 << 20,
    signal,
    onBytes: progressOf(jobs, deps),
  };
  const queue = [...jobs];
  const failures: unknown[] = [];
  const workers = Array.from({ length: Math.min(files, jobs.length) }, async () => {
    for (let job = queue.shift(); job && !signal.aborted; job = queue.shift()) {
      try {
        await job.run(context);
        context.onBytes(job.name, job.size);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    }
  });
  await Promise.all(workers);
  throwIfAborted(deps.signal);
  if (failures.length > 0) throw failures[0];
}

function counted(what: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new UsageError("E_OPTION", `${what} must be a whole number from 1 on, found ${value}`);
}

/** Events for one file and for all, at most every 1 % of a file. */
function progressOf(jobs: readonly DownloadJob[], deps: SourceDeps): DownloadContext["onBytes"] {
  const sizes = new Map(jobs.map((job) => [job.name, job.size]));
  const totalBytes = jobs.reduce((sum, job) => sum + job.size, 0);
  const have = new Map<string, number>();
  const told = new Map<string, number>();
  return (file, bytes) => {
    const total = sizes.get(file) ?? bytes;
    have.set(file, bytes);
    const step = Math.max(1, total / 100);
    if (bytes !== total && Math.abs(bytes - (told.get(file) ?? -step)) < step) return;
    if (told.get(file) === bytes) return;
    told.set(file, bytes);
    deps.onEvent({ type: "download", file, bytes, total });
    const sum = [...have.values()].reduce((a, b) => a + b, 0);
    const files = [...have].filter(([name, nbytes]) => nbytes === sizes.get(name)).length;
    deps.onEvent({ type: "download-total", bytes: sum, totalBytes, files, totalFiles: jobs.length });
  };
}
