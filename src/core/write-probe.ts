import { randomBytes } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/**
 * Proves that a folder can be written by doing so: a small file is made, written, renamed and removed. A folder that
 * does not exist yet is judged by the nearest one above it that does. Permissions alone do not tell: a volume can be
 * mounted read-only, full, or without renames.
 * @throws the file system's error
 */
export async function probeWriting(folder: string): Promise<void> {
  const there = await nearestExisting(folder);
  await probeRename(there, there);
}

/** Proves that files can be moved from one folder to another as one step: both exist, and share a volume. */
export async function probeRename(from: string, to: string): Promise<void> {
  const name = `.mlc-convert-probe-${randomBytes(6).toString("hex")}`;
  const [made, moved] = [join(from, name), join(to, `${name}.moved`)];
  try {
    const handle = await open(made, "wx");
    await handle.writeFile("probe").finally(() => handle.close());
    await rename(made, moved);
  } finally {
    await rm(made, { force: true }).catch(() => {});
    await rm(moved, { force: true }).catch(() => {});
  }
}

async function nearestExisting(folder: string): Promise<string> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found || at === dirname(at)) return at;
  }
}
