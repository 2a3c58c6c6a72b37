import { open, stat } from "node:fs/promises";
import path from "node:path";
import type { NamedFile } from "../core/byte-source.ts";
import { SourceError } from "../core/errors.ts";

/**
 * A file on this machine. It is opened for each read, so nothing has to be closed; `size` is taken once, now.
 *
 * @returns `undefined` if there is no such file
 */
export async function openLocalFile(folder: string, name: string): Promise<NamedFile | undefined> {
  const filePath = path.resolve(folder, name);
  const stats = await stat(filePath).catch(() => undefined);
  if (!stats?.isFile()) return undefined;
  return {
    name,
    path: filePath,
    size: stats.size,
    read: (start, end) =>
      readRange(filePath, start, end).catch((cause: unknown) => {
        throw unreadable(filePath, cause);
      }),
  };
}

async function readRange(filePath: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  const handle = await open(filePath, "r");
  try {
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) return bytes.subarray(0, filled);
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** The error for something that is there but that the system does not let us read. */
export function unreadable(filePath: string, cause: unknown): SourceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SourceError("E_SOURCE_UNREADABLE", `${filePath}: expected to read it, found: ${reason}`, {
    hint: "Check the permissions and the disk.",
    cause,
  });
}
