import { stat } from "node:fs/promises";
import { createJob } from "../native/addon.ts";
import type { Budget } from "./budget.ts";

const UINT8 = 6;
const RAW = 0;

/** What a shard would be that is just a file's bytes. */
function copyProgram(source: number, size: number): Float64Array {
  const piece = [RAW, 0, 0, UINT8, 1, size, size, 0, 0, 0, 0, 0, 0, 0];
  const gather = [1, 1, source, UINT8, 0, 0, 1, size, 1];
  return Float64Array.from([1, ...piece, ...gather, 0, 0]);
}

export interface HashSettings {
  readonly backend: string;
  readonly budget: Budget;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * MD5 of several files at once, hashed from where they lie.
 * @param paths absolute paths
 * @returns 32 hexadecimal digits a path; `undefined` where there is no such file
 */
export async function hashFiles(
  paths: readonly string[],
  settings: HashSettings,
): Promise<readonly (string | undefined)[]> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  const sources = paths.flatMap((path, index) => {
    const info = found[index];
    return info?.isFile() ? [{ path, size: info.size, index }] : [];
  });
  const digests: (string | undefined)[] = paths.map(() => undefined);
  const { threads, lanes, tileBytes } = settings.budget;
  const job = createJob({
    sources: sources.map(({ path, size }) => ({ path, size })),
    backend: settings.backend,
    threads,
    lanes,
    tileBytes,
    sync: false,
    map: true,
  });
  sources.forEach(({ size, index }, source) => {
    const program = size === 0 ? Float64Array.from([0]) : copyProgram(source, size);
    job.addShard({ id: index, path: "", fileOffset: 0, truncate: false, nbytes: size, program });
  });
  const stop = (): void => job.cancel();
  settings.signal?.addEventListener("abort", stop, { once: true });
  const timer = setInterval(() => settings.onBytes?.(job.progress().bytes), 100);
  try {
    await job.start((id, md5) => {
      digests[id] = md5;
    });
  } finally {
    clearInterval(timer);
    settings.signal?.removeEventListener("abort", stop);
  }
  return digests;
}
