import { type Command, InvalidArgumentError } from "commander";
import { listProblems, SourceError } from "../core/errors.ts";
import type { SourceOptions } from "../index.ts";
import { type Outside, thisProcess, withSource } from "./outside.ts";
import { withoutGaps } from "./source-flags.ts";
import { formatBytes } from "./units.ts";

interface CacheFlags {
  readonly cacheDir?: string;
  readonly hfCache?: boolean;
  readonly json?: boolean;
}

interface PruneFlags extends CacheFlags {
  readonly olderThan?: number;
  readonly dryRun?: boolean;
}

/** Adds `cache list`, `cache verify` and `cache prune`. */
export function registerCache(program: Command, outside: Outside = thisProcess()): void {
  const cache = program.command("cache").description("look at, check and tidy what was downloaded");
  common(cache.command("list").description("list cached models, their size and state")).action(
    (flags: CacheFlags) => list(flags, outside),
  );
  common(cache.command("verify").description("hash every file of the cached models, or of one"))
    .argument("[repo]", "org/name")
    .action((repo: string | undefined, flags: CacheFlags) => verify(repo, flags, outside));
  common(cache.command("prune").description("remove unfinished downloads, unused content, and what is named"))
    .argument("[repo]", "org/name: remove all of it")
    .option("--older-than <days>", "remove models that were not used for so many days", daysOf)
    .option("--dry-run", "say what would be removed, remove nothing")
    .action((repo: string | undefined, flags: PruneFlags) => prune(repo, flags, outside));
}

function common(command: Command): Command {
  return command
    .option("--cache-dir <folder>", "cache for checkpoints, in the hub's layout")
    .option("--hf-cache", "the Hugging Face cache")
    .option("--json", "print the result as JSON");
}

function optionsOf({ cacheDir, hfCache }: CacheFlags): SourceOptions {
  return withoutGaps({ cacheDir, hfCache });
}

async function list(flags: CacheFlags, outside: Outside): Promise<void> {
  const entries = await withSource(outside, async (deps) =>
    (await import("../index.ts")).listCache(optionsOf(flags), deps),
  );
  if (flags.json) return outside.print(JSON.stringify(entries, null, 2));
  if (entries.length === 0) return outside.print("no models are cached");
  for (const entry of entries) {
    const revision = entry.revisions.join(", ") || "no revision";
    const state = entry.complete ? "complete" : `incomplete (${entry.problems[0] ?? "unknown"})`;
    const size = formatBytes(entry.nbytes).padStart(10);
    outside.print(
      `${size}  ${entry.model.padEnd(10)}  ${entry.repo} @ ${revision}  ${state}  ${entry.folder}`,
    );
  }
}

async function verify(repo: string | undefined, flags: CacheFlags, outside: Outside): Promise<void> {
  const results = await withSource(outside, async (deps) =>
    (await import("../index.ts")).verifyCache(repo, optionsOf(flags), deps),
  );
  if (results.length === 0) {
    throw new SourceError(
      "E_NOT_CACHED",
      repo === undefined ? "no models are cached" : `${repo} is not cached`,
    );
  }
  if (flags.json) outside.print(JSON.stringify(results, null, 2));
  const damaged = results.filter((result) => result.problems.length > 0);
  for (const { entry, sound, unverified, problems } of flags.json ? [] : results) {
    const unknown = unverified.length === 0 ? "" : `, ${unverified.length} without a known hash`;
    const verdict = problems.length === 0 ? "sound" : "damaged";
    outside.print(`${verdict}  ${entry.repo}  ${sound} files${unknown}  ${entry.folder}`);
  }
  if (damaged.length === 0) return;
  const lines = damaged.flatMap(({ entry, problems }) =>
    problems.map((problem) => `${entry.repo}: ${problem}`),
  );
  throw new SourceError("E_CACHE_DAMAGED", `cached files are damaged:\n${listProblems(lines)}`, {
    hint: "Download the model again with --force-download, or remove it with `mlc-convert cache prune`.",
  });
}

async function prune(repo: string | undefined, flags: PruneFlags, outside: Outside): Promise<void> {
  const { olderThan: olderThanDays, dryRun } = flags;
  const request = withoutGaps({ repo, olderThanDays, dryRun });
  const pruned = await withSource(outside, async (deps) =>
    (await import("../index.ts")).pruneCache(request, optionsOf(flags), deps),
  );
  if (flags.json) return outside.print(JSON.stringify(pruned, null, 2));
  for (const { path, nbytes, why } of pruned)
    outside.print(`${formatBytes(nbytes).padStart(10)}  ${why}  ${path}`);
  const sum = formatBytes(pruned.reduce((bytes, item) => bytes + item.nbytes, 0));
  outside.print(`${sum.padStart(10)}  ${dryRun ? "would be freed" : "freed"}`);
}

function daysOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("a number of days is needed");
}
