import { mkdir, open, statfs } from "node:fs/promises";
import path from "node:path";
import { SourceError } from "../core/errors.ts";

/** The little of a file that writing downloads needs; a test can lose what was not flushed. */
export interface RawFile {
  writev(buffers: readonly NodeJS.ArrayBufferView[], position: number): Promise<unknown>;
  appendFile(text: string): Promise<void>;
  datasync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file for writing, as `fs.open` does. */
export type OpenRaw = (file: string, flags: string) => Promise<RawFile>;

export const openOnDisk: OpenRaw = async (file, flags) => {
  const handle = await open(file, flags, 0o664);
  return {
    writev: (buffers, position) => handle.writev(buffers, position),
    appendFile: (text) => handle.appendFile(text),
    datasync: () => handle.datasync(),
    truncate: (size) => handle.truncate(size),
    close: () => handle.close(),
  };
};

/** Makes a folder's entries (renames, new files) last; systems that cannot are left alone. */
export async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  try {
    await handle?.sync();
  } catch {
    // Windows and some network file systems refuse to flush folders; renames there last by themselves.
  } finally {
    await handle?.close();
  }
}

/** Bytes that this user may still write on the volume of `folder`, which need not exist yet. */
export async function freeBytesAt(folder: string): Promise<number> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const stats = await statfs(at).catch(() => undefined);
    if (stats) return stats.bavail * stats.bsize;
    if (at === path.dirname(at)) return Number.POSITIVE_INFINITY;
  }
}

/** What must stay free besides the files: 1 %, at least 64 MiB (acquisition.md §6.6). */
export function withMargin(nbytes: number): number {
  return nbytes === 0 ? 0 : nbytes + Math.max(Math.ceil(nbytes / 100), 64 << 20);
}

/** Turns "no space left" into a sentence; everything else is returned as it is. */
export function explainDiskError(error: unknown, folder: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new SourceError("E_DISK_FULL", `no space is left in ${folder}; what was fetched is kept`, {
    hint: "Free some space and run the same command again: it continues where it was.",
    cause: error,
  });
}

/** Creates a folder and its parents. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
}
