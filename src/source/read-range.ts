import type { ByteRange } from "./range-set.ts";
import { type Content, transferFailure } from "./remote-content.ts";
import { throwIfAborted } from "./retry.ts";

/** Where the bytes of one answer go. */
export interface Transfer {
  readonly name: string;
  readonly signal: AbortSignal;
  /** Without {@link ALIVE_BYTES} in so long, the transfer is given up. */
  readonly stallMs: number;
  /** Waits until so many bytes may be taken. */
  readonly pace: (nbytes: number) => Promise<void>;
  readonly arrived: (nbytes: number) => void;
  readonly stalled: () => void;
  /** True when the connection should end early. */
  readonly enough: () => boolean;
  readonly write: (start: number, chunks: readonly Uint8Array[]) => Promise<void>;
}

/** A transfer that brings less than this in the stall time is as good as dead. */
const ALIVE_BYTES = 4096;
/** Chunks are gathered to this size before they are written. */
const WRITE_BYTES = 1 << 20;

/**
 * Reads the body of an answer for `range` and writes it, one write behind the reading.
 * @throws {TemporaryFailure} when it stalls, breaks off, or brings more than was asked for
 */
export async function readRange(
  [start, end]: ByteRange,
  content: Content,
  transfer: Transfer,
): Promise<void> {
  const body = content.reply.body[Symbol.asyncIterator]();
  const out = new WriteBehind(start, transfer.write);
  const watch = new StallWatch(transfer, content);
  try {
    for (let at = start; at < end; ) {
      const chunk = await watch.next(body);
      if (chunk === undefined)
        throw transferFailure(`${transfer.name}: ${content.host} broke off the transfer`);
      at += chunk.byteLength;
      if (at > end) throw transferFailure(`${transfer.name}: ${content.host} sent more than was asked for`);
      transfer.arrived(chunk.byteLength);
      await out.add(chunk);
      await transfer.pace(chunk.byteLength);
      throwIfAborted(transfer.signal);
      if (transfer.enough()) break;
    }
  } finally {
    watch.stop();
    await out.end();
    content.reply.discard();
  }
}

/** Gathers chunks and keeps one write in flight. */
class WriteBehind {
  private at: number;
  private gathered: Uint8Array[] = [];
  private nbytes = 0;
  private writing: Promise<void> = Promise.resolve();
  private readonly write: Transfer["write"];

  constructor(start: number, write: Transfer["write"]) {
    this.at = start;
    this.write = write;
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.gathered.push(chunk);
    this.nbytes += chunk.byteLength;
    if (this.nbytes >= WRITE_BYTES) await this.flush();
  }

  async end(): Promise<void> {
    await this.flush();
    await this.writing;
  }

  private async flush(): Promise<void> {
    await this.writing;
    if (this.nbytes === 0) return;
    const { at, gathered } = this;
    this.at += this.nbytes;
    this.gathered = [];
    this.nbytes = 0;
    this.writing = this.write(at, gathered);
    this.writing.catch(() => {});
  }
}

/** Gives up a body that brings next to nothing for too long. Time spent on our own side does not count. */
class StallWatch {
  private readonly transfer: Transfer;
  private readonly content: Content;
  private waitedMs = 0;
  private waitingSince: number | undefined;
  private bytes = 0;
  private stalled = false;
  private readonly timer: NodeJS.Timeout;

  constructor(transfer: Transfer, content: Content) {
    this.transfer = transfer;
    this.content = content;
    this.timer = setInterval(() => this.check(), Math.max(10, transfer.stallMs / 10));
  }

  async next(body: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
    this.waitingSince = performance.now();
    try {
      const { value, done } = await body.next();
      if (done === true && this.stalled) throw new Error("stalled");
      if (done === true) return undefined;
      this.account(value);
      return value;
    } catch (error) {
      throwIfAborted(this.transfer.signal);
      const { name, stallMs } = this.transfer;
      const seconds = stallMs / 1000;
      const { host } = this.content;
      if (this.stalled) throw transferFailure(`${name}: nothing came from ${host} for ${seconds} s`);
      throw transferFailure(`${name}: the connection to ${host} broke`, error);
    }
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private account(chunk: Uint8Array): void {
    this.waitedMs += performance.now() - (this.waitingSince ?? performance.now());
    this.waitingSince = undefined;
    this.bytes += chunk.byteLength;
    if (this.bytes < ALIVE_BYTES) return;
    this.bytes = 0;
    this.waitedMs = 0;
  }

  private check(): void {
    const waiting = this.waitingSince === undefined ? 0 : performance.now() - this.waitingSince;
    if (this.waitedMs + waiting < this.transfer.stallMs) return;
    this.stalled = true;
    this.stop();
    this.transfer.stalled();
    this.content.reply.discard();
  }
}
