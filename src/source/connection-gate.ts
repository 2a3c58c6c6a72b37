import { throwIfAborted } from "./retry.ts";

export interface GateOptions {
  /** Most connections ever. */
  readonly max: number;
  /** Length of one measurement. */
  readonly windowMs: number;
  /** Milliseconds from any fixed point. */
  readonly now: () => number;
}

/** More throughput than this makes more connections worth it. */
const GAIN = 1.1;
/** Less loss than this makes fewer connections worth it. */
const LOSS = 0.95;
/** Measurements to rest after a try that failed; twice as many each time, up to the longest. */
const REST = 8;
const LONGEST_REST = 64;
/** A throughput this much below the last one ends a rest. */
const DROP = 0.7;

/**
 * How many connections may be busy at once. Climbs while more bring more, gives up those that bring nothing,
 * and backs off when the server refuses or stalls. Never below 1.
 */
export class ConnectionGate {
  private limitNow: number;
  private ceiling: number;
  private active = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly options: GateOptions;
  private bytes = 0;
  private since: number;
  private settling = true;
  private resting = 0;
  private rest = REST;
  /** Most connections that were busy in this measurement. */
  private peak = 0;
  private kept: { limit: number; rate: number } | undefined;
  private upward = true;

  constructor(options: GateOptions) {
    this.options = options;
    this.ceiling = options.max;
    this.limitNow = Math.min(options.max, 8);
    this.since = options.now();
  }

  /** Connections that may be busy now. */
  get limit(): number {
    return this.limitNow;
  }

  /** True when a connection should end early because there are too many. */
  get crowded(): boolean {
    return this.active > this.limitNow;
  }

  /**
   * Waits for a place; give it back with {@link leave}.
   * @throws {SourceError} E_ABORTED
   */
  async enter(signal: AbortSignal): Promise<void> {
    while (this.active >= this.limitNow) {
      throwIfAborted(signal);
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.waiting.push(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
    throwIfAborted(signal);
    this.active++;
    this.peak = Math.max(this.peak, this.active);
  }

  leave(): void {
    this.active--;
    this.wake();
  }

  /** Counts bytes that arrived, and judges when a measurement is over. */
  arrived(nbytes: number): void {
    this.bytes += nbytes;
    const elapsed = this.options.now() - this.since;
    if (elapsed < this.options.windowMs) return;
    const rate = this.bytes / elapsed;
    const used = Math.min(this.peak, this.limitNow);
    this.bytes = 0;
    this.peak = this.active;
    this.since = this.options.now();
    if (this.settling) this.settling = false;
    else this.judge(rate, used);
  }

  /** The server said it is too busy. */
  refused(): void {
    this.retreat(Math.floor(this.limitNow / 2));
  }

  /** A connection went silent. */
  stalled(): void {
    this.retreat(Math.floor(this.limitNow * 0.75));
  }

  private retreat(to: number): void {
    this.ceiling = Math.max(1, to);
    this.kept = undefined;
    this.upward = true;
    this.resting = REST;
    this.set(this.ceiling);
  }

  /** @param used connections that were busy: fewer than allowed where there is no more to fetch at a time */
  private judge(rate: number, used: number): void {
    const { kept } = this;
    if (this.resting > 0) {
      this.resting--;
      if (!kept || rate >= kept.rate * DROP) return;
      this.resting = 0;
      this.upward = false;
      this.kept = { limit: this.limitNow, rate };
      this.step(used);
    } else if (!kept || kept.limit === this.limitNow) {
      this.kept = { limit: this.limitNow, rate };
      this.step(used);
    } else if (rate >= kept.rate * (this.limitNow > kept.limit ? GAIN : LOSS)) {
      this.kept = { limit: this.limitNow, rate };
      this.rest = REST;
      this.step(used);
    } else {
      this.turn(kept.limit);
    }
  }

  /** Tries the next number in the current direction, or turns round at the end of the road. */
  private step(used: number): void {
    const idle = used < this.limitNow && this.waiting.length === 0;
    if (this.upward && idle) this.upward = false;
    const next = this.upward ? Math.min(this.ceiling, this.limitNow * 2) : Math.max(1, used >> 1);
    if (next === this.limitNow || (!this.upward && used <= 1)) this.turn(this.limitNow);
    else this.set(next);
  }

  private turn(to: number): void {
    this.set(to);
    this.resting = this.upward ? 0 : this.rest;
    if (!this.upward) {
      this.ceiling = this.options.max;
      this.rest = Math.min(LONGEST_REST, this.rest * 2);
    }
    this.upward = !this.upward;
  }

  private set(limit: number): void {
    this.limitNow = limit;
    this.settling = true;
    this.wake();
  }

  private wake(): void {
    for (let free = this.limitNow - this.active; free > 0; free--) this.waiting.shift()?.();
  }
}
