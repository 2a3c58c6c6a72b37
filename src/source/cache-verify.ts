import { readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { isArray, isObject, parseJson } from "../core/json.ts";
import { type CacheEntry, filesBelow, listCache } from "./cache-list.ts";
import { inspectConverted, MANIFEST } from "./converted-cache.ts";
import type { SourceDeps } from "./deps.ts";
import { type ExpectedHash, hashFile } from "./hash-follower.ts";
import { blobHash, HubCache } from "./hub-cache.ts";
import type { SourceOptions } from "./options.ts";
import { throwIfAborted } from "./retry.ts";

/** What a full check of one entry found. */
export interface VerifiedEntry {
  readonly entry: CacheEntry;
  /** Files whose content equals its hash. */
  readonly sound: number;
  /** Files of which no hash is known. */
  readonly unverified: readonly string[];
  /** Damaged, missing or unreadable files, one sentence each; empty for a sound entry. */
  readonly problems: readonly string[];
}

/**
 * Hashes every file of the cached models, or of one repository. Changes nothing.
 * @param repo `org/name`; absent for all
 */
export async function verifyCache(
  repo: string | undefined,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<VerifiedEntry[]> {
  const results: VerifiedEntry[] = [];
  for (const entry of await listCache(options, deps)) {
    if (repo !== undefined && entry.repo !== repo) continue;
    throwIfAborted(deps.signal);
    results.push(await verifyEntry(entry, deps));
  }
  return results;
}

async function verifyEntry(entry: CacheEntry, deps: SourceDeps): Promise<VerifiedEntry> {
  const hashes = entry.model === "converted" ? await manifestHashes(entry) : await treeHashes(entry);
  const problems = [...entry.problems];
  const unverified: string[] = [];
  let sound = 0;
  for (const { name, size } of await filesBelow(entry.folder)) {
    if (name === MANIFEST) continue;
    throwIfAborted(deps.signal);
    const file = path.join(entry.folder, name);
    const expected = hashes.get(name) ?? blobHash(path.basename(await realpath(file)));
    if (expected === undefined) {
      unverified.push(name);
      continue;
    }
    const found = await hashFile(file, size, expected);
    if (found === expected.hex) sound++;
    else problems.push(`${name}: expected ${expected.algorithm} ${expected.hex}, found ${found}`);
  }
  if (entry.model !== "converted") return { entry, sound, unverified, problems };
  return { entry, sound, ...(await withShardSums(entry, unverified, problems)) };
}

/** The MD5 sums of the model's own index vouch for shards of which no other hash is known. */
async function withShardSums(
  entry: CacheEntry,
  unverified: readonly string[],
  problems: readonly string[],
): Promise<Pick<VerifiedEntry, "unverified" | "problems">> {
  try {
    const { unverified: without } = await inspectConverted(entry.folder);
    const left = unverified.filter((name) => !/^params_shard_\d+\.bin$/.test(name) || without.includes(name));
    return { unverified: left, problems };
  } catch (error) {
    return { unverified, problems: [...problems, error instanceof Error ? error.message : String(error)] };
  }
}

async function treeHashes(entry: CacheEntry): Promise<ReadonlyMap<string, ExpectedHash>> {
  const root = path.resolve(entry.folder, "../../..");
  const tree = await new HubCache(root).readTree(entry.repo, path.basename(entry.folder));
  const hashes = new Map<string, ExpectedHash>();
  for (const [name, { sha256, oid }] of tree ?? []) {
    const hash = blobHash(sha256 ?? oid);
    if (hash) hashes.set(name, hash);
  }
  return hashes;
}

async function manifestHashes(entry: CacheEntry): Promise<ReadonlyMap<string, ExpectedHash>> {
  const hashes = new Map<string, ExpectedHash>();
  const file = path.join(entry.folder, MANIFEST);
  if (!(await stat(file).catch(() => undefined))) return hashes;
  const json = parseJson(await readFile(file, "utf8"));
  const files = isObject(json) ? json.get("files") : undefined;
  for (const item of isArray(files) ? files : []) {
    const [name, hash] = isObject(item) ? [item.get("path"), item.get("hash")] : [];
    const expected = typeof hash === "string" ? blobHash(hash.replace(/^.*:/, "")) : undefined;
    if (typeof name === "string" && expected) hashes.set(name, expected);
  }
  return hashes;
}
