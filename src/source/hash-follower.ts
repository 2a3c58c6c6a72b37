import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";

/** The hash that content must have. */
export interface ExpectedHash {
  /** `git-sha1` is SHA-1 over git's blob header and the content. */
  readonly algorithm: "sha256" | "git-sha1" | "md5";
  /** Lower-case hex digits. */
  readonly hex: string;
}

/** Below this size a thread costs more than it saves. */
const WORTH_A_THREAD = 4 << 20;

/**
 * The thread's program. A text, because tests run the TypeScript sources directly and Node 20 starts threads
 * from JavaScript only. It reads back what was just written, from the page cache, in file order.
 */
const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const hash = createHash(workerData.algorithm).update(workerData.prefix);
const fd = fs.openSync(workerData.file, "r");
const buffer = Buffer.allocUnsafe(1 << 20);
let at = 0;
parentPort.on("message", ({ to, done }) => {
  while (at < to) {
    const read = fs.readSync(fd, buffer, 0, Math.min(buffer.length, to - at), at);
    if (read === 0) throw new Error("the file ended early");
    hash.update(buffer.subarray(0, read));
    at += read;
  }
  if (done) {
    fs.closeSync(fd);
    parentPort.postMessage(hash.digest("hex"));
    parentPort.close();
  }
});
`;

/** Hashes a file while it grows: everything up to `advance`'s offset must be written already. */
export class HashFollower {
  private readonly file: string;
  private readonly size: number;
  private readonly expected: ExpectedHash;
  private worker: Worker | undefined;
  private failure: Promise<never> | undefined;
  private told = 0;

  constructor(file: string, size: number, expected: ExpectedHash) {
    this.file = file;
    this.size = size;
    this.expected = expected;
  }

  /** The first `to` bytes are there. */
  advance(to: number): void {
    if (this.size < WORTH_A_THREAD || to - this.told < 1 << 20) return;
    this.told = to;
    this.thread().postMessage({ to, done: false });
  }

  /** The hash of the whole file, in hex; all of it must be written. */
  async digest(): Promise<string> {
    if (this.size < WORTH_A_THREAD) {
      const hash = createHash(openSslName(this.expected)).update(prefixOf(this.expected, this.size));
      return hash.update(await readFile(this.file)).digest("hex");
    }
    const worker = this.thread();
    const answer = new Promise<string>((resolve) => worker.once("message", resolve));
    worker.postMessage({ to: this.size, done: true });
    return Promise.race([answer, this.failure ?? answer]);
  }

  /** Stops and forgets. */
  async dispose(): Promise<void> {
    await this.worker?.terminate();
    this.worker = undefined;
    this.told = 0;
  }

  private thread(): Worker {
    if (this.worker) return this.worker;
    const algorithm = openSslName(this.expected);
    const workerData = { algorithm, prefix: prefixOf(this.expected, this.size), file: this.file };
    const worker = new Worker(PROGRAM, { eval: true, workerData, execArgv: [] });
    this.failure = new Promise((_, reject) => worker.once("error", reject));
    this.failure.catch(() => {});
    worker.unref();
    this.worker = worker;
    return worker;
  }
}

/** Hashes a file that lies complete on disk. */
export async function hashFile(file: string, size: number, expected: ExpectedHash): Promise<string> {
  const follower = new HashFollower(file, size, expected);
  try {
    return await follower.digest();
  } finally {
    await follower.dispose();
  }
}

function openSslName({ algorithm }: ExpectedHash): string {
  return algorithm === "git-sha1" ? "sha1" : algorithm;
}

function prefixOf({ algorithm }: ExpectedHash, size: number): string {
  return algorithm === "git-sha1" ? `blob ${size}\0` : "";
}
