import path from "node:path";
import { type LockOptions, takeLock } from "../core/lock.ts";
import { makeFolder } from "./disk.ts";
import { throwIfAborted } from "./retry.ts";

/**
 * Runs `work` while holding a lock file that other processes respect. It only saves double work: correctness
 * rests on unique temporary names and atomic renames, because locks do nothing on some network folders. Where no
 * lock can be made, and where one is lost, the work goes on without.
 * @throws {SourceError} E_ABORTED
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  await makeFolder(path.dirname(file)).catch(() => {});
  const lock = await takeLock(file, options).catch((error: unknown) => {
    throwIfAborted(options.signal);
    throw error;
  });
  try {
    return await work();
  } finally {
    if (typeof lock === "object") await lock.release();
  }
}
