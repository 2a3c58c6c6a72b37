import { stat } from "node:fs/promises";
import type { Budget } from "./budget.ts";
import { openJob, translated } from "./native-job.ts";

const UINT8 = 6;
const RAW = 0;

/** What a shard would be that is just some of a file's bytes. */
function copyProgram(source: number, start: number, size: number): Float64Array {
  const piece = [RAW, 0, 0, UINT8, 1, size, size, 0, 0, 0, 0, 0, 0, 0, 0];
  const gather = [1, 1, source, UINT8, start, 0, 1, size, 1];
  return Float64Array.from([1, ...piece, ...gather, 0, 0]);
}

export interface HashSettings {
  readonly backend: string;
  readonly budget: Budget;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of a file; without a range all of them. */
export interface HashedPart {
  /** Absolute path. */
  readonly path: string;
  readonly range?: { readonly start: number; readonly nbytes: number };
}

interface Found {
  readonly index: number;
  readonly source: number;
  readonly start: number;
  readonly nbytes: number;
}

/**
 * MD5 of several files or parts of files at once, hashed from where they lie.
 * @returns 32 hexadecimal digits a part; `undefined` where there is no such file or it is too short
 * @throws {CheckpointError} where a file cannot be read, or changes while it is hashed
 */
export async function hashFiles(
  parts: readonly HashedPart[],
  settings: HashSettings,
): Promise<readonly (string | undefined)[]> {
  const paths = [...new Set(parts.map(({ path }) => path))];
  const sizes = await Promise.all(paths.map(sizeOf));
  const sources = paths.flatMap((path, index) => {
    const size = sizes[index];
    return size === undefined ? [] : [{ path, size }];
  });
  const numbers = new Map(sources.map(({ path }, number) => [path, number]));
  const found = parts.flatMap(({ path, range }, index): readonly Found[] => {
    const source = numbers.get(path);
    const size = source === undefined ? undefined : sources[source]?.size;
    if (source === undefined || size === undefined) return [];
    const { start, nbytes } = range ?? { start: 0, nbytes: size };
    return start + nbytes > size ? [] : [{ index, source, start, nbytes }];
  });
  const digests: (string | undefined)[] = parts.map(() => undefined);
  const { backend, budget } = settings;
  const job = openJob({ sources, backend, ...budget, sync: false, map: true });
  // Longest first: a part is one stream, so a long one must not be the last to begin.
  for (const { index, source, start, nbytes } of [...found].sort((a, b) => b.nbytes - a.nbytes)) {
    const program = nbytes === 0 ? Float64Array.from([0]) : copyProgram(source, start, nbytes);
    const shard = { path: "", fileOffset: 0, truncate: false, measured: false };
    job.addShard({ id: index, ...shard, nbytes, program });
  }
  const stop = (): void => job.cancel();
  settings.signal?.addEventListener("abort", stop, { once: true });
  const timer = setInterval(() => settings.onBytes?.(job.progress().bytes), 100);
  try {
    await job.start((id, md5) => {
      digests[id] = md5;
    });
  } catch (error) {
    settings.signal?.throwIfAborted();
    throw translated(error);
  } finally {
    clearInterval(timer);
    settings.signal?.removeEventListener("abort", stop);
  }
  return digests;
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}
