import { randomBytes } from "node:crypto";
import { link, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isObject, parseJson } from "./json.ts";
import { isAlive, type Owner, parseOwner, thisProcess } from "./owner.ts";

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** An owner that shows no sign of life for so long has lost its lock; default 30 s. */
  readonly staleMs?: number;
  /** Whether to wait for an owner that lives; default true. */
  readonly wait?: boolean;
  /** Told once when somebody else holds the lock. */
  readonly onWait?: (owner: Owner | undefined) => void;
}

/** A lock that this process holds. */
export interface Lock {
  /** Aborted when another process has taken the lock over, as from one that was stopped for long. */
  readonly lost: AbortSignal;
  /** Asks the file whose lock it is. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
}

/** What a lock file says. `token` tells two locks of the same process apart. */
interface Holder extends Owner {
  readonly token: string;
}

const STALE_MS = 30_000;
const POLL_MS = 100;
/** A lock that names nobody is one whose maker died before writing its name, which takes no time. */
const NAMELESS_STALE_MS = 3000;
/** Beyond this, the difference between a file's time and ours is no matter of clocks. */
const CLOCKS_DIFFER_MS = 3_600_000;

/**
 * Takes a lock file that other processes respect, also those of other machines. The file names its owner and is
 * touched as a heartbeat. The lock of a dead process is taken over at once; that of a process which cannot be
 * seen, when its heartbeat has not changed for `staleMs` of our own time, because clocks of machines differ.
 * @returns `busy` where the owner lives and waiting was not asked for; `impossible` where no lock file can be made
 * @throws the signal's reason when it is given
 */
export async function takeLock(
  file: string,
  options: LockOptions = {},
): Promise<Lock | "busy" | "impossible"> {
  const staleMs = options.staleMs ?? STALE_MS;
  const mine: Holder = { ...thisProcess(), token: randomBytes(8).toString("hex") };
  const watch = new HeartbeatWatch(file, staleMs);
  for (let told = false, looks = 0; ; looks++) {
    options.signal?.throwIfAborted();
    const made = await create(file, mine);
    if (made === "made") return new HeldLock(file, mine, staleMs);
    if (made === "impossible") return made;
    const other = await readHolder(file);
    const state = await watch.look(other);
    if (state === "gone") {
      await takeAway(file, other);
      continue;
    }
    if (state === "lives" && options.wait === false) return "busy";
    // At the first look a file without a name may be one whose maker is about to write it.
    if (!told && (other || looks > 0)) {
      options.onWait?.(other);
      told = true;
    }
    await sleep(POLL_MS, undefined, options.signal ? { signal: options.signal } : {}).catch(() => {});
  }
}

class HeldLock implements Lock {
  private readonly file: string;
  private readonly mine: Holder;
  private readonly loss = new AbortController();
  private readonly heartbeat: NodeJS.Timeout;

  constructor(file: string, mine: Holder, staleMs: number) {
    this.file = file;
    this.mine = mine;
    this.heartbeat = setInterval(() => void this.beat(), staleMs / 6).unref();
  }

  get lost(): AbortSignal {
    return this.loss.signal;
  }

  async isHeld(): Promise<boolean> {
    return (await readHolder(this.file))?.token === this.mine.token;
  }

  async release(): Promise<void> {
    clearInterval(this.heartbeat);
    if (await this.isHeld()) await rm(this.file, { force: true });
  }

  /** A file that cannot be read now is no loss yet: network folders have bad moments. */
  private async beat(): Promise<void> {
    const now = new Date();
    const found = await readHolder(this.file).catch(() => this.mine);
    if (found?.token === this.mine.token) return utimes(this.file, now, now).catch(() => {});
    clearInterval(this.heartbeat);
    this.loss.abort();
  }
}

/** Judges a lock by its owner and by how its time stamp moves. */
class HeartbeatWatch {
  private readonly file: string;
  private readonly staleMs: number;
  private seen: { readonly stamp: number; readonly at: number } | undefined;

  constructor(file: string, staleMs: number) {
    this.file = file;
    this.staleMs = staleMs;
  }

  async look(owner: Holder | undefined): Promise<"lives" | "gone" | "unsure"> {
    const alive = owner && isAlive(owner);
    if (alive === false) return "gone";
    const stats = await stat(this.file).catch(() => undefined);
    if (!stats) return "unsure";
    const age = Date.now() - stats.mtimeMs;
    // The same machine has the same clock; and a number can have passed to another process since.
    if (alive === true) return age > this.staleMs ? "gone" : "lives";
    if (age > CLOCKS_DIFFER_MS) return "gone";
    const now = performance.now();
    const { seen } = this;
    if (seen?.stamp !== stats.mtimeMs) {
      this.seen = { stamp: stats.mtimeMs, at: now };
      return seen === undefined ? "unsure" : "lives";
    }
    const patience = owner ? this.staleMs : Math.min(this.staleMs, NAMELESS_STALE_MS);
    return now - seen.at > patience ? "gone" : "unsure";
  }
}

async function create(file: string, mine: Holder): Promise<"made" | "taken" | "impossible"> {
  try {
    const handle = await open(file, "wx", 0o664);
    await handle.writeFile(JSON.stringify(mine)).finally(() => handle.close());
    return "made";
  } catch (error) {
    return isCode(error, "EEXIST") ? "taken" : "impossible";
  }
}

/** Who holds a lock; `undefined` where nobody does, or the file says something else. */
async function readHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (isCode(error, "ENOENT") || isCode(error, "EISDIR")) return "";
    throw error;
  });
  try {
    const json = parseJson(text);
    const owner = parseOwner(json);
    const token = isObject(json) ? json.get("token") : undefined;
    return owner && typeof token === "string" ? { ...owner, token } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Moves a stale lock aside. If another process has renewed it in between it is given back, unless a third one has
 * made a new one: then the second one finds its lock lost.
 */
async function takeAway(file: string, stale: Holder | undefined): Promise<void> {
  const aside = `${file}.${randomBytes(4).toString("hex")}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = await readHolder(aside);
  if (moved?.token !== stale?.token) await link(aside, file).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
