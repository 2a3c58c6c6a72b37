import { existsSync } from "node:fs";
import { constants, mkdir, open, readdir, rename, rm, statfs, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { OutputError } from "../core/errors.ts";
import type { FileFrame } from "../core/layout.ts";
import { type Lock, takeLock } from "../core/lock.ts";
import { checkOutput, checkWritable, REPLACED_SUFFIX } from "./check-target.ts";
import { JOURNAL_NAME } from "./journal.ts";

const STAGING_SUFFIX = ".mlc-convert-partial";

export interface StagingOptions {
  /** Replace a target that holds something, as a whole. */
  readonly force: boolean;
  /** Make folders durable before and after the renames. */
  readonly sync: boolean;
  /** The target is one file; the staging folder holds it under the target's name. */
  readonly single?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told when another machine's lock has to be watched before it can be judged. */
  readonly onWait?: () => void;
}

/** A folder beside the target in which the output grows until it is complete. */
export interface Staging {
  readonly folder: string;
  readonly target: string;
  /** Aborted with the error when another process has taken the folder over. */
  readonly lost: AbortSignal;
  /** Puts the finished folder or file in the target's place. Nothing of the old target is lost before that. */
  publish(): Promise<void>;
  /** Removes the folder and everything in it. */
  discard(): Promise<void>;
  /** Gives the lock back and leaves the folder for a later run. */
  release(): Promise<void>;
}

/**
 * Checks the target and opens the staging folder beside it.
 * @throws {OutputError} where the target cannot be written, holds something else, or is being written
 */
export async function openStaging(output: string, options: StagingOptions): Promise<Staging> {
  const target = resolve(output);
  const folder = `${target}${STAGING_SUFFIX}`;
  const single = options.single ?? false;
  await checkOutput(target, { force: options.force, single });
  await makeFolder(folder);
  const lock = await lockFolder(folder, target, options);
  const lost = new AbortController();
  lock.lost.addEventListener("abort", () => lost.abort(lostError(target)), { once: true });
  return {
    folder,
    target,
    lost: lost.signal,
    publish: async () => {
      if (!(await lock.isHeld())) throw lostError(target);
      await rm(join(folder, JOURNAL_NAME), { force: true });
      if (single) await replaceFile(folder, target, options.sync);
      else await replaceFolder(folder, target, options.sync);
      await lock.release();
    },
    discard: async () => {
      await rm(folder, { recursive: true, force: true });
      await lock.release();
    },
    release: () => lock.release(),
  };
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new OutputError("E_OUTPUT_READ_ONLY", `${folder} cannot be created: ${(cause as Error).message}`, {
      cause,
      hint: "choose another output folder or change the permissions of its parent",
    });
  });
  await checkWritable(folder);
}

/** One conversion at a time into one folder. */
async function lockFolder(folder: string, target: string, options: StagingOptions): Promise<Lock> {
  const { signal, onWait } = options;
  const lock = await takeLock(`${folder}.lock`, { wait: false, signal, ...(onWait ? { onWait } : {}) });
  if (lock === "busy") {
    throw new OutputError("E_OUTPUT_BUSY", `${target} is being written by another process`, {
      hint: "wait for it to finish, or choose another output folder",
    });
  }
  if (lock === "impossible") {
    throw new OutputError("E_OUTPUT_READ_ONLY", `${dirname(folder)} cannot be written`, {
      hint: "choose another output folder or change its permissions",
    });
  }
  return lock;
}

/** The error of a run that was stopped for so long that another one took its output over. */
function lostError(target: string): OutputError {
  return new OutputError("E_OUTPUT_LOST", `${target} was taken over by another process`, {
    hint: "this process showed no sign of life for half a minute; let the other one finish",
  });
}

/** Makes a folder's entries durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}

async function replaceFolder(folder: string, target: string, sync: boolean): Promise<void> {
  const replaced = `${target}${REPLACED_SUFFIX}`;
  if (sync) await syncFolder(folder);
  await rm(replaced, { recursive: true, force: true });
  if (existsSync(target)) await rename(target, replaced);
  await rename(folder, target);
  if (sync) await syncFolder(dirname(target));
  await rm(replaced, { recursive: true, force: true });
}

async function replaceFile(folder: string, target: string, sync: boolean): Promise<void> {
  await rename(join(folder, basename(target)), target);
  if (sync) await syncFolder(dirname(target));
  await rm(folder, { recursive: true, force: true });
}

/** Completes a file whose shards are written: everything else in it, and its size. */
export async function writeFrame(
  folder: string,
  { path, size, parts }: FileFrame,
  sync: boolean,
): Promise<void> {
  const handle = await open(join(folder, path), constants.O_RDWR | constants.O_CREAT);
  try {
    await handle.truncate(size);
    for (const { fileOffset, bytes } of parts) await handle.write(bytes, 0, bytes.length, fileOffset);
    if (sync) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a small file as a whole: temporary name, fsync, rename. */
export async function writeWhole(path: string, text: string | Uint8Array, sync: boolean): Promise<void> {
  const temporary = `${path}.partial`;
  const handle = await open(temporary, "w");
  try {
    await handle.writeFile(text);
    if (sync) await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

/** Removes files of the staging folder that the run does not expect, so that nothing stale is published. */
export async function keepOnly(folder: string, expected: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!expected.has(name) && name !== JOURNAL_NAME) await unlink(join(folder, name)).catch(() => undefined);
  }
}

/**
 * Refuses to begin when the disk cannot hold the result.
 * @throws {OutputError} `E_DISK_FULL`
 */
export async function checkDiskSpace(folder: string, nbytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= nbytes) return;
  const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  throw new OutputError(
    "E_DISK_FULL",
    `the result needs ${mib(nbytes)}, but ${dirname(folder)} has only ${mib(free)} free (for ${basename(folder)})`,
    { hint: "make room or choose an output folder on another disk" },
  );
}
