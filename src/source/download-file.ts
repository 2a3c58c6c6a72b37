import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { anySignal } from "../core/any-signal.ts";
import { SourceError } from "../core/errors.ts";
import { changed, type OpenContent, replyProblem, StartOver } from "./check-reply.ts";
import type { ConnectionGate } from "./connection-gate.ts";
import type { SourceDeps } from "./deps.ts";
import { explainDiskError } from "./disk.ts";
import { type ExpectedHash, HashFollower } from "./hash-follower.ts";
import { parseLfsPointer } from "./lfs-pointer.ts";
import { PartFile, type PartOptions } from "./part-file.ts";
import { type ByteRange, RangeSet } from "./range-set.ts";
import { readRange, type Transfer } from "./read-range.ts";
import { type RemoteContent, transferFailure } from "./remote-content.ts";
import { TemporaryFailure, type Timing, throwIfAborted, waitToRetry } from "./retry.ts";
import type { Throttle } from "./throttle.ts";

/** One file to fetch. */
export interface FileTask {
  readonly content: RemoteContent;
  readonly expected: ExpectedHash;
  readonly part: PartOptions;
  /** Where the verified file goes. */
  readonly target: string;
}

/** What all files of a download share. */
export interface DownloadContext {
  readonly deps: SourceDeps;
  readonly gate: ConnectionGate;
  readonly throttle: Throttle;
  readonly timing: Timing;
  /** Most connections for one file. */
  readonly ranges: number;
  /** Most bytes one connection can have fetched that are not in the journal yet. */
  readonly rangeBytes: number;
  readonly signal: AbortSignal;
  /** Bytes of this file that are on this machine now. */
  readonly onBytes: (file: string, bytes: number) => void;
}

/**
 * Fetches one file in ranges, continues what an earlier process began, hashes while writing, and publishes it
 * only if the hash is the expected one.
 * @throws {SourceError} E_DOWNLOAD_…, E_HUB_…, E_DISK_FULL, E_ABORTED
 */
export async function downloadFile(task: FileTask, context: DownloadContext): Promise<void> {
  const part = await PartFile.open(task.part);
  const download = new FileDownload(task, context, part);
  try {
    await download.run();
  } catch (error) {
    await part.leave().catch(() => {});
    throw explainDiskError(error, task.part.folder);
  } finally {
    await download.dispose();
  }
}

interface Attempt {
  readonly signal: AbortSignal;
  /** Counts what came, also if it breaks off. */
  readonly arrived: { bytes: number };
}

class FileDownload {
  private readonly task: FileTask;
  private readonly context: DownloadContext;
  private readonly part: PartFile;
  private readonly hash: HashFollower;
  private readonly name: string;
  private readonly size: number;
  private claims = new RangeSet();
  private connections = 0;
  private wholeOnly = false;

  constructor(task: FileTask, context: DownloadContext, part: PartFile) {
    this.task = task;
    this.context = context;
    this.part = part;
    this.name = task.content.file.path;
    this.size = task.content.file.size;
    this.hash = new HashFollower(part.path, this.size, task.expected);
  }

  async run(): Promise<void> {
    const seen = new Map<StartOver["why"], number>();
    for (;;) {
      try {
        await this.fill();
        await this.verify();
        await this.part.publish(this.task.target);
        return;
      } catch (error) {
        if (!(error instanceof StartOver)) throw error;
        const times = (seen.get(error.why) ?? 0) + 1;
        seen.set(error.why, times);
        await this.startOver();
        if (times > 1) throw error.error;
        this.wholeOnly = error.why === "no-ranges";
        const { message: reason } = error;
        this.context.deps.onEvent({ type: "retry", what: this.name, reason, waitMs: 0 });
      }
    }
  }

  dispose(): Promise<void> {
    return this.hash.dispose();
  }

  private async startOver(): Promise<void> {
    await this.hash.dispose();
    this.claims = new RangeSet();
    await this.part.reset();
    this.context.onBytes(this.name, 0);
  }

  /** Runs connections until every byte is written. The first failure for good stops the others. */
  private async fill(): Promise<void> {
    this.context.onBytes(this.name, this.part.written.nbytes);
    this.hash.advance(this.part.written.prefix);
    const stop = new AbortController();
    const signal = anySignal([stop.signal, this.context.signal]);
    setMaxListeners(0, signal);
    const wanted = Math.ceil((this.size - this.part.written.nbytes) / this.claimBytes);
    const count = this.wholeOnly ? Math.min(1, wanted) : Math.min(this.context.ranges, wanted);
    this.connections = count;
    const failures: unknown[] = [];
    const work = Array.from({ length: count }, async () => {
      try {
        await this.connect(signal);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    });
    await Promise.all(work);
    if (failures.length > 0) throw failures[0];
    throwIfAborted(this.context.signal);
  }

  /** Half a range: one half may be waiting for its flush while the other is being fetched. */
  private get claimBytes(): number {
    return Math.max(1, Math.ceil(this.context.rangeBytes / 2));
  }

  /**
   * One connection: claims what is missing, piece by piece, until nothing is left to claim. It counts until then, and
   * not until its last flush: the last one that counts must not give up on what the others left.
   */
  private async connect(signal: AbortSignal): Promise<void> {
    let flushed: Promise<void> = Promise.resolve();
    for (let failures = 0; ; ) {
      const claim = this.claim();
      if (!claim) break;
      const arrived = { bytes: 0 };
      const failure = await this.attempt(claim, { signal, arrived });
      if (failure) {
        failures = arrived.bytes > 0 ? 1 : failures + 1;
        if (failure.refused) this.context.gate.refused();
        if (failures >= this.context.timing.attempts && this.connections > 1) break;
        await this.pause(failure, failures, signal);
        continue;
      }
      failures = 0;
      await flushed;
      flushed = this.part.flush();
      flushed.catch(() => {});
    }
    this.connections--;
    await flushed;
  }

  /** One try at a claim, which is given back whatever happens. */
  private async attempt(claim: ByteRange, how: Attempt): Promise<TemporaryFailure | undefined> {
    try {
      await this.transfer(claim, how);
      return undefined;
    } catch (error) {
      if (error instanceof TemporaryFailure) return error;
      throw error;
    } finally {
      this.claims.remove(claim[0], claim[1]);
    }
  }

  private async pause(failure: TemporaryFailure, failures: number, signal: AbortSignal): Promise<void> {
    const { deps, timing } = this.context;
    const onRetry = ({ message: reason }: TemporaryFailure, waitMs: number) =>
      deps.onEvent({ type: "retry", what: this.name, reason, waitMs });
    await waitToRetry(failure, failures, { timing, signal, onRetry });
  }

  private claim(): ByteRange | undefined {
    const taken = new RangeSet([...this.part.written.list(), ...this.claims.list()]);
    const gap = taken.firstGap(this.size, this.wholeOnly ? this.size : this.claimBytes);
    if (gap) this.claims.add(gap[0], gap[1]);
    return gap;
  }

  /** Fetches as much of a claim as the connection brings. */
  private async transfer(claim: ByteRange, how: Attempt): Promise<void> {
    const { gate } = this.context;
    await gate.enter(how.signal);
    const stop = new AbortController();
    const signal = anySignal([stop.signal, how.signal]);
    try {
      const content = await this.task.content.open({
        range: this.wholeOnly ? undefined : claim,
        etag: this.part.etag,
        signal,
      });
      await this.checkHead(claim, content);
      const onBytes = (nbytes: number) => {
        how.arrived.bytes += nbytes;
        this.task.content.works();
      };
      await readRange(claim, content, this.sinkFor(signal, onBytes));
      if (this.wholeOnly) await this.checkWhole(claim);
    } catch (error) {
      throwIfAborted(this.context.signal);
      throw error;
    } finally {
      stop.abort();
      gate.leave();
    }
  }

  private sinkFor(signal: AbortSignal, onBytes: (nbytes: number) => void): Transfer {
    const { gate, throttle, timing } = this.context;
    return {
      name: this.name,
      signal,
      stallMs: timing.stallMs,
      pace: (nbytes) => throttle.take(nbytes, signal),
      arrived: (nbytes) => {
        gate.arrived(nbytes);
        onBytes(nbytes);
      },
      stalled: () => gate.stalled(),
      enough: () => gate.crowded && !this.wholeOnly,
      write: async (start, chunks) => {
        await this.part.write(start, chunks);
        this.hash.advance(this.part.written.prefix);
        this.context.onBytes(this.name, this.part.written.nbytes);
      },
    };
  }

  /** Checks status, Content-Range and ETag before a byte is taken (T3, T4, T5). */
  private async checkHead(claim: ByteRange, content: OpenContent): Promise<void> {
    const { reply, etag, host } = content;
    const { name, size, wholeOnly } = this;
    const problem = replyProblem({ name, size, etag: this.part.etag, wholeOnly }, claim, content);
    if (problem) {
      reply.discard();
      throw problem;
    }
    if (etag === undefined || etag === this.part.etag) return;
    if (this.part.etag === undefined) return this.part.setEtag(etag);
    reply.discard();
    throw new StartOver("changed", changed(this.name, host));
  }

  /** A whole file that broke off cannot be continued without ranges. */
  private async checkWhole(claim: ByteRange): Promise<void> {
    if (this.part.written.nbytes === claim[1] - claim[0]) return;
    await this.part.reset();
    await this.hash.dispose();
    throw transferFailure(`${this.name}: the transfer broke off, and the server cannot continue it`);
  }

  /** The content's hash decides; a wrong one is fetched once more, then refused. */
  private async verify(): Promise<void> {
    const found = await this.hash.digest();
    const { algorithm, hex } = this.task.expected;
    if (found === hex) return;
    const pointer = await this.isPointer();
    const what = pointer ? "a git-lfs pointer instead of the content" : `${algorithm} ${found}`;
    const message = `${this.name}: expected ${algorithm} ${hex}, received ${what}`;
    throw new StartOver(
      "wrong-content",
      new SourceError("E_DOWNLOAD_HASH", `${message} (from ${this.task.content.hosts})`, {
        hint: "The server or something on the way changes the content; try another endpoint or network.",
      }),
    );
  }

  private async isPointer(): Promise<boolean> {
    return this.size < 1024 && parseLfsPointer(await readFile(this.part.path)) !== undefined;
  }
}
