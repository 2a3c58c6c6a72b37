import { setTimeout as sleep } from "node:timers/promises";

/** Holds all downloads together to a number of bytes per second. */
export class Throttle {
  private readonly bytesPerSecond: number;
  private readonly now: () => number;
  private freeAt: number;

  /** @param bytesPerSecond `Infinity` for no limit */
  constructor(bytesPerSecond: number, now: () => number) {
    this.bytesPerSecond = bytesPerSecond;
    this.now = now;
    this.freeAt = now();
  }

  /** Waits until `nbytes` more may have arrived. */
  async take(nbytes: number, signal: AbortSignal): Promise<void> {
    if (!Number.isFinite(this.bytesPerSecond)) return;
    const now = this.now();
    this.freeAt = Math.max(this.freeAt, now) + (nbytes / this.bytesPerSecond) * 1000;
    if (this.freeAt - now > 5) await sleep(this.freeAt - now, undefined, { signal }).catch(() => {});
  }
}
