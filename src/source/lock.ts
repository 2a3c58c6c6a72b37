import { randomBytes } from "node:crypto";
import { open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isObject, parseJson, toNumber } from "../core/json.ts";
import { makeFolder } from "./disk.ts";
import { isAlive, type Owner, thisProcess } from "./journal.ts";
import { throwIfAborted } from "./retry.ts";

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** An owner that shows no sign of life for so long has lost its lock; default 30 s. */
  readonly staleMs?: number;
  /** Told once when somebody else holds the lock. */
  readonly onWait?: (owner: Owner | undefined) => void;
}

/** What a lock file says. `token` tells two locks of the same process apart. */
interface Held extends Owner {
  readonly token: string;
}

const STALE_MS = 30_000;
const POLL_MS = 100;

/**
 * Runs `work` while holding a lock file that other processes respect. The file names its owner and is touched
 * as a heartbeat; a lock whose owner is dead or silent is taken over. It only saves double work: correctness
 * rests on unique temporary names and atomic renames, because locks do nothing on some network folders.
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const staleMs = options.staleMs ?? STALE_MS;
  const mine: Held = { ...thisProcess(), token: randomBytes(8).toString("hex") };
  await makeFolder(path.dirname(file)).catch(() => {});
  const held = await acquire(file, mine, { ...options, staleMs });
  const heartbeat = setInterval(() => void touch(file, mine), staleMs / 6).unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if (held) await release(file, mine);
  }
}

/** False where the file system cannot hold locks; the work then goes on without. */
async function acquire(
  file: string,
  mine: Held,
  options: LockOptions & { staleMs: number },
): Promise<boolean> {
  for (let told = false; ; ) {
    throwIfAborted(options.signal);
    const made = await create(file, mine);
    if (made !== "taken") return made === "made";
    const other = await read(file);
    if (await isStale(file, other, options.staleMs)) {
      await takeAway(file, other);
      continue;
    }
    if (!told) options.onWait?.(other);
    told = true;
    await sleep(POLL_MS, undefined, options.signal ? { signal: options.signal } : {}).catch(() => {});
  }
}

async function create(file: string, mine: Held): Promise<"made" | "taken" | "impossible"> {
  try {
    const handle = await open(file, "wx", 0o664);
    await handle.writeFile(JSON.stringify(mine)).finally(() => handle.close());
    return "made";
  } catch (error) {
    const taken = error instanceof Error && "code" in error && error.code === "EEXIST";
    return taken ? "taken" : "impossible";
  }
}

async function read(file: string): Promise<Held | undefined> {
  try {
    const json = parseJson(await readFile(file, "utf8"));
    if (!isObject(json)) return undefined;
    const [host, pid, token] = [json.get("host"), toNumber(json.get("pid")), json.get("token")];
    return typeof host === "string" && pid !== undefined && typeof token === "string"
      ? { host, pid, token }
      : undefined;
  } catch {
    return undefined;
  }
}

async function isStale(file: string, owner: Held | undefined, staleMs: number): Promise<boolean> {
  if (owner && isAlive(owner) === false) return true;
  const stats = await stat(file).catch(() => undefined);
  return stats !== undefined && Date.now() - stats.mtimeMs > staleMs;
}

/** Moves a stale lock aside; if another process has renewed it in between, gives it back. */
async function takeAway(file: string, stale: Held | undefined): Promise<void> {
  const aside = `${file}.${randomBytes(4).toString("hex")}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = await read(aside);
  if (moved?.token === stale?.token) await unlink(aside).catch(() => {});
  else await rename(aside, file).catch(() => {});
}

async function touch(file: string, mine: Held): Promise<void> {
  if ((await read(file))?.token !== mine.token) return;
  const now = new Date();
  await utimes(file, now, now).catch(() => {});
}

async function release(file: string, mine: Held): Promise<void> {
  if ((await read(file))?.token === mine.token) await unlink(file).catch(() => {});
}
