import { lstat, readdir, readlink, rm, stat } from "node:fs/promises";
import path from "node:path";
import { type CacheEntry, filesBelow, listCache } from "./cache-list.ts";
import { abandonedStages } from "./converted-cache.ts";
import type { SourceDeps } from "./deps.ts";
import type { HubCache } from "./hub-cache.ts";
import { type SourceOptions, settle } from "./options.ts";
import { findLeftovers } from "./part-file.ts";
import { partFolders } from "./part-folder.ts";

/** What to remove besides leftovers. */
export interface PruneRequest {
  /** All of one repository. */
  readonly repo?: string;
  /** Models that were not confirmed for so many days. */
  readonly olderThanDays?: number;
  /** Say what would go, remove nothing. */
  readonly dryRun?: boolean;
}

/** One thing that was removed, or would be. */
export interface Pruned {
  readonly path: string;
  readonly nbytes: number;
  readonly why: "unfinished download" | "content that no snapshot uses" | "asked for" | "old";
}

const DAY_MS = 86_400_000;

/**
 * Removes what dead downloads left, contents that no snapshot uses, and the models that were asked for. Only in
 * the caches that are written: never in read-only ones, and in the Hugging Face cache only with `hfCache`.
 */
export async function pruneCache(
  request: PruneRequest,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<Pruned[]> {
  const { cache, converted, temp } = settle(options, deps);
  const now = deps.now();
  const pruned: Pruned[] = [];
  const remove = async (file: string, why: Pruned["why"]) => {
    const stats = await lstat(file).catch(() => undefined);
    if (!stats) return;
    const nbytes = stats.isDirectory()
      ? (await filesBelow(file)).reduce((sum, { size }) => sum + size, 0)
      : stats.size;
    pruned.push({ path: file, nbytes, why });
    if (!request.dryRun) await rm(file, { recursive: true, force: true });
  };
  for (const entry of await listCache(options, deps)) {
    const why = reasonFor(entry, request, now);
    const own =
      entry.folder.startsWith(cache.root + path.sep) || entry.folder.startsWith(converted + path.sep);
    if (why && own) await remove(entry.folder, why);
  }
  const gone = new Set(pruned.map((item) => item.path));
  for (const name of await readdir(cache.root).catch(() => [])) {
    if (name.startsWith("models--")) await pruneModel(path.join(cache.root, name), { gone, now, remove });
  }
  for (const folder of await partFolders(temp)) {
    for (const name of await findLeftovers(folder, now, 0)) {
      await remove(path.join(folder, name), "unfinished download");
    }
  }
  for (const stage of await abandonedStages(converted)) await remove(stage, "unfinished download");
  if (!request.dryRun) await removeEmptyModels(cache);
  return pruned;
}

function reasonFor(
  entry: CacheEntry,
  { repo, olderThanDays }: PruneRequest,
  now: number,
): Pruned["why"] | undefined {
  if (repo !== undefined) return entry.repo === repo ? "asked for" : undefined;
  if (olderThanDays === undefined) return undefined;
  return now - entry.since > olderThanDays * DAY_MS ? "old" : undefined;
}

interface Pruning {
  /** Snapshots that go anyway. */
  readonly gone: ReadonlySet<string>;
  readonly now: number;
  readonly remove: (file: string, why: Pruned["why"]) => Promise<void>;
}

async function pruneModel(model: string, { gone, now, remove }: Pruning): Promise<void> {
  const blobs = path.join(model, "blobs");
  const thinned = [...gone].some((folder) => folder.startsWith(model + path.sep));
  const used = await usedBlobs(path.join(model, "snapshots"), gone);
  for (const name of await findLeftovers(blobs, now, 0)) {
    await remove(path.join(blobs, name), "unfinished download");
  }
  for (const name of await readdir(blobs).catch(() => [])) {
    const file = path.join(blobs, name);
    if (/\.incomplete(\.journal(\.new)?)?$/.test(name)) continue;
    // A young blob may belong to a download that has not linked it yet.
    const young = !thinned && now - ((await stat(file).catch(() => undefined))?.mtimeMs ?? 0) < DAY_MS;
    if (!used.has(name) && !young) await remove(file, "content that no snapshot uses");
  }
}

async function usedBlobs(snapshots: string, gone: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const name of await readdir(snapshots, { recursive: true }).catch(() => [])) {
    const file = path.join(snapshots, name);
    if ([...gone].some((folder) => file.startsWith(folder + path.sep))) continue;
    const target = await readlink(file).catch(() => undefined);
    if (target !== undefined) used.add(path.basename(target));
  }
  return used;
}

/** A model without snapshots and blobs leaves nothing worth keeping; a ref to nothing would mislead. */
async function removeEmptyModels(cache: HubCache): Promise<void> {
  for (const name of await readdir(cache.root).catch(() => [])) {
    if (!name.startsWith("models--")) continue;
    const model = path.join(cache.root, name);
    const left = [
      ...(await filesBelow(path.join(model, "snapshots"))),
      ...(await filesBelow(path.join(model, "blobs"))),
    ];
    if (left.length === 0) await rm(model, { recursive: true, force: true });
  }
}
