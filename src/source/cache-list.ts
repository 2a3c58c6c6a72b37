import { lstat, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { MANIFEST } from "./converted-cache.ts";
import type { SourceDeps } from "./deps.ts";
import { readOnlyBases } from "./environment.ts";
import type { ModelKind } from "./file-choice.ts";
import { inspectFolder } from "./folder-state.ts";
import type { HubCache } from "./hub-cache.ts";
import { type SourceOptions, settle } from "./options.ts";

/** One model in a cache. */
export interface CacheEntry {
  readonly model: ModelKind;
  /** `org/name`. */
  readonly repo: string;
  /** Branches and tags that lead here. */
  readonly revisions: readonly string[];
  readonly commit: string | undefined;
  readonly folder: string;
  /** Bytes of all files; blobs that two snapshots share count in both. */
  readonly nbytes: number;
  readonly files: number;
  readonly complete: boolean;
  readonly problems: readonly string[];
  readonly place: CachePlace;
  /** When the entry was made or last confirmed, in milliseconds since the epoch. */
  readonly since: number;
}

/** Whose cache it is: ours, the hub's own, or one that is never written. */
export type CachePlace = "mlc" | "hugging-face" | "read-only";

/** All models in the caches that these options and the environment name. Writes nothing. */
export async function listCache(options: SourceOptions, deps: SourceDeps): Promise<CacheEntry[]> {
  const { cache, hfCache, converted } = settle(options, deps);
  const place = options.hfCache ? "hugging-face" : "mlc";
  const entries = [...(await listHubCache(cache, place)), ...(await listConverted(converted, "mlc"))];
  if (hfCache) entries.push(...(await listHubCache(hfCache, "hugging-face")));
  for (const base of readOnlyBases(deps))
    entries.push(...(await listConverted(path.join(base, "hf"), "read-only")));
  return entries;
}

/** The snapshots of a cache in the hub's layout. */
export async function listHubCache(cache: HubCache, place: CachePlace): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const name of await folders(cache.root)) {
    const repo = /^models--(.+?)--(.+)$/.exec(name);
    if (!repo) continue;
    const id = `${repo[1]}/${repo[2]}`;
    const refs = await readRefs(path.join(cache.root, name, "refs"));
    for (const commit of await folders(path.join(cache.root, name, "snapshots"))) {
      const here = refs.filter((ref) => ref.commit === commit);
      const since = Math.max(0, ...here.map((ref) => ref.since));
      const tree = await cache.readTree(id, commit);
      const sizes = new Map([...(tree ?? [])].map(([file, { size }]) => [file, size] as const));
      const known = { repo: id, revisions: here.map((ref) => ref.revision), commit, place, since };
      const entry = await describe(cache.snapshot(id, commit), known, sizes);
      if (entry) entries.push(entry);
    }
  }
  return entries;
}

async function listConverted(root: string, place: CachePlace): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const org of await folders(root)) {
    for (const name of await folders(path.join(root, org))) {
      if (/\.(incomplete|old)-/.test(name)) continue;
      const folder = path.join(root, org, name);
      const [repo = "", revision = "main"] = name.split("@");
      const since = (await stat(folder)).mtimeMs;
      const commit = await manifestCommit(folder);
      const known = {
        repo: `${org}/${repo}`,
        revisions: [revision.replaceAll("--", "/")],
        commit,
        place,
        since,
      };
      const entry = await describe(folder, known);
      if (entry) entries.push(entry);
    }
  }
  return entries;
}

async function describe(
  folder: string,
  known: Pick<CacheEntry, "repo" | "revisions" | "commit" | "place" | "since">,
  sizes?: ReadonlyMap<string, number>,
): Promise<CacheEntry | undefined> {
  const { state, model, problems } = await inspectFolder(folder, {
    gguf: true,
    ...(sizes ? { sizes } : {}),
  });
  const files = await filesBelow(folder);
  if (model === undefined && files.length === 0) return undefined;
  const nbytes = files.reduce((sum, file) => sum + file.size, 0);
  const complete = state === "complete";
  const since = known.since || (await stat(folder)).mtimeMs;
  return {
    ...known,
    since,
    model: model ?? "checkpoint",
    folder,
    nbytes,
    files: files.length,
    complete,
    problems,
  };
}

/** Files below a folder, relative, with the size of what links lead to; dangling links are left out. */
export async function filesBelow(folder: string): Promise<{ name: string; size: number }[]> {
  const found: { name: string; size: number }[] = [];
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const stats = await stat(path.join(folder, name)).catch(() => undefined);
    if (stats?.isFile()) found.push({ name, size: stats.size });
  }
  return found;
}

async function folders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

async function readRefs(folder: string): Promise<{ revision: string; commit: string; since: number }[]> {
  const refs: { revision: string; commit: string; since: number }[] = [];
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const file = path.join(folder, name);
    const stats = await lstat(file);
    if (!stats.isFile() || name.endsWith(".new")) continue;
    const commit = (await readFile(file, "utf8")).trim();
    refs.push({ revision: name.split(path.sep).join("/"), commit, since: stats.mtimeMs });
  }
  return refs;
}

async function manifestCommit(folder: string): Promise<string | undefined> {
  const text = await readFile(path.join(folder, MANIFEST), "utf8").catch(() => "");
  return /"commit":\s*"([0-9a-f]{40})"/.exec(text)?.[1];
}
