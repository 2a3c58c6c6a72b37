import { setTimeout as sleep } from "node:timers/promises";
import { SourceError } from "../core/errors.ts";
import type { HttpReply } from "./http.ts";

/** Waiting times, in milliseconds. */
export interface Timing {
  /** First wait after a failure; doubles up to `backoffCapMs`. */
  readonly backoffMs: number;
  readonly backoffCapMs: number;
  /** Tries in a row that may fail without a byte arriving. */
  readonly attempts: number;
  /** A transfer that brings next to nothing for so long is reopened. */
  readonly stallMs: number;
  /** Longest wait that a server may ask for. */
  readonly longestWaitMs: number;
  /** Length of one measurement of the throughput. */
  readonly windowMs: number;
}

export const DEFAULT_TIMING: Timing = {
  backoffMs: 1000,
  backoffCapMs: 8000,
  attempts: 5,
  stallMs: 30_000,
  longestWaitMs: 600_000,
  windowMs: 1000,
};

/** A failure worth another try. `final` is what to throw when there is none left. */
export class TemporaryFailure extends Error {
  readonly final: SourceError;
  /** What the server asked to wait, if it did. */
  readonly waitMs: number | undefined;
  /** The server answered that it is too busy. */
  readonly refused: boolean;
  constructor(final: SourceError, details: { waitMs?: number | undefined; refused?: boolean } = {}) {
    super(final.message, { cause: final });
    this.final = final;
    this.waitMs = details.waitMs;
    this.refused = details.refused ?? false;
  }
}

/** True for answers that may be different next time (acquisition.md §6.8). */
export function isTemporaryStatus(status: number): boolean {
  return [408, 429, 500, 502, 503, 504].includes(status);
}

/** Milliseconds that an answer asks to wait: `Retry-After`, else `RateLimit`'s t + 1 (formats.md §12.5). */
export function askedWaitMs(reply: Pick<HttpReply, "header">, now: number): number | undefined {
  const after = reply.header("retry-after");
  if (after !== undefined && /^\d+$/.test(after)) return Number(after) * 1000;
  if (after !== undefined && !Number.isNaN(Date.parse(after))) return Math.max(0, Date.parse(after) - now);
  const reset = /;\s*t=(\d+)/.exec(reply.header("ratelimit") ?? "")?.[1];
  return reset === undefined ? undefined : (Number(reset) + 1) * 1000;
}

/** Exponential back-off with jitter: between half and all of base · 2^failures, capped. */
export function backoffMs(failures: number, timing: Timing): number {
  const full = Math.min(timing.backoffCapMs, timing.backoffMs * 2 ** (failures - 1));
  return full * (0.5 + Math.random() / 2);
}

export interface RetryContext {
  readonly timing: Timing;
  readonly signal: AbortSignal | undefined;
  /** Told before every wait. */
  readonly onRetry: (failure: TemporaryFailure, waitMs: number) => void;
}

/**
 * Waits before another try, or gives up.
 * @param failures tries in a row that failed, at least 1
 * @throws {SourceError} the failure itself when no try is left or the wait asked for is too long
 */
export async function waitToRetry(
  failure: TemporaryFailure,
  failures: number,
  context: RetryContext,
): Promise<void> {
  const { timing, signal } = context;
  const waitMs = failure.waitMs ?? backoffMs(failures, timing);
  if (failures >= timing.attempts || waitMs > timing.longestWaitMs) throw failure.final;
  context.onRetry(failure, waitMs);
  await sleep(waitMs, undefined, signal ? { signal } : {}).catch(() => throwIfAborted(signal));
}

/** Runs `work` until it succeeds, fails for good, or failed too often in a row. */
export async function withRetries<T>(work: () => Promise<T>, context: RetryContext): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TemporaryFailure)) throw error;
      await waitToRetry(error, failures, context);
    }
  }
}

/**
 * @throws {SourceError} E_ABORTED when the signal was given
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  if (signal.reason instanceof SourceError) throw signal.reason;
  throw new SourceError("E_ABORTED", "the download was interrupted", {
    hint: "Run the same command again: it continues where it was.",
    cause: signal.reason,
  });
}
