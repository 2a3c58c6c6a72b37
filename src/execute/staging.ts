import { existsSync } from "node:fs";
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  unlink,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lock } from "proper-lockfile";
import { OutputError } from "../core/errors.ts";
import type { FileFrame } from "../core/layout.ts";
import { JOURNAL_NAME } from "./journal.ts";

const STAGING_SUFFIX = ".mlc-convert-partial";
const REPLACED_SUFFIX = ".mlc-convert-replaced";
/** A lock whose owner has not renewed it for this long is taken over. */
const LOCK_STALE_MS = 10_000;
const LOCK_POLL_MS = 500;

export interface StagingOptions {
  /** Replace a target that holds something, as a whole. */
  readonly force: boolean;
  /** Make folders durable before and after the renames. */
  readonly sync: boolean;
  /** The target is one file; the staging folder holds it under the target's name. */
  readonly single?: boolean;
}

/** A folder beside the target in which the output grows until it is complete. */
export interface Staging {
  readonly folder: string;
  readonly target: string;
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
  if (single) {
    await checkFile(target, options.force);
  } else {
    await restoreReplaced(target);
    await checkTarget(target, options.force);
  }
  await makeFolder(folder);
  const unlock = await lockFolder(folder, target);
  return {
    folder,
    target,
    publish: async () => {
      await rm(join(folder, JOURNAL_NAME), { force: true });
      await unlock();
      if (single) await replaceFile(folder, target, options.sync);
      else await replaceFolder(folder, target, options.sync);
    },
    discard: async () => {
      await unlock();
      await rm(folder, { recursive: true, force: true });
    },
    release: unlock,
  };
}

/** A run that was killed between two renames left the old target under another name. */
async function restoreReplaced(target: string): Promise<void> {
  const replaced = `${target}${REPLACED_SUFFIX}`;
  if (!existsSync(target) && existsSync(replaced)) await rename(replaced, target);
}

async function checkTarget(target: string, force: boolean): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  if (!found.isDirectory()) {
    throw new OutputError("E_OUTPUT_IS_FILE", `${target}: expected a folder, found a file`, {
      hint: "choose another output folder",
    });
  }
  const entries = await readdir(target);
  if (entries.length > 0 && !force) {
    const some = entries.slice(0, 3).join(", ");
    throw new OutputError(
      "E_OUTPUT_NOT_EMPTY",
      `${target} already holds ${entries.length} entries (${some})`,
      {
        hint: "choose another output folder, or replace this one as a whole with --force",
      },
    );
  }
  await checkWritable(target);
}

async function checkFile(target: string, force: boolean): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  if (found.isDirectory()) {
    throw new OutputError("E_OUTPUT_IS_FOLDER", `${target}: expected a file, found a folder`, {
      hint: "choose another name for the output file",
    });
  }
  if (force) return;
  throw new OutputError("E_OUTPUT_EXISTS", `${target} already exists`, {
    hint: "choose another name for the output file, or replace this one with --force",
  });
}

async function checkWritable(folder: string): Promise<void> {
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new OutputError("E_OUTPUT_READ_ONLY", `${folder} cannot be written`, {
      cause,
      hint: "choose another output folder or change its permissions",
    });
  });
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

async function lockFolder(folder: string, target: string): Promise<() => Promise<void>> {
  const ownerFile = `${folder}.owner`;
  const until = Date.now() + LOCK_STALE_MS + LOCK_POLL_MS;
  for (;;) {
    try {
      const unlock = await lock(folder, { stale: LOCK_STALE_MS, realpath: false });
      await writeFile(ownerFile, JSON.stringify({ host: hostname(), pid: process.pid }));
      return async () => {
        await rm(ownerFile, { force: true });
        await unlock().catch(() => undefined);
      };
    } catch (cause) {
      // The lock of a process that was killed only has to grow stale.
      if (Date.now() > until || !(await isOwnerDead(ownerFile))) throw busy(target, cause);
      await sleep(LOCK_POLL_MS);
    }
  }
}

function busy(target: string, cause: unknown): OutputError {
  return new OutputError("E_OUTPUT_BUSY", `${target} is being written by another process`, {
    cause,
    hint: "wait for it to finish, or choose another output folder",
  });
}

/**
 * True where the lock's owner runs no more, or has not said yet who it is: a process can be killed between the two.
 * Another machine's processes cannot be seen, so they count as running.
 */
async function isOwnerDead(ownerFile: string): Promise<boolean> {
  try {
    const owner = JSON.parse(await readFile(ownerFile, "utf8")) as { host?: unknown; pid?: unknown };
    if (owner.host !== hostname() || typeof owner.pid !== "number" || owner.pid === process.pid) return false;
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    const { code } = error as { code?: unknown };
    return code === "ESRCH" || code === "ENOENT" || error instanceof SyntaxError;
  }
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
