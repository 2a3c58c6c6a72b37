import { type Command, InvalidArgumentError } from "commander";
import { listProblems, SourceError } from "../core/errors.ts";
import type { CacheEntry, SourceDeps, SourceOptions, VerifiedEntry } from "../index.ts";
import { withPrinting } from "./conversion-options.ts";
import { withSource } from "./download.ts";
import type { Printer } from "./printer.ts";
import { runCommand } from "./run-command.ts";
import { withoutGaps } from "./source-flags.ts";
import { formatBytes } from "./units.ts";

interface CacheFlags {
  readonly cacheDir?: string;
  readonly hfCache?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface PruneFlags extends CacheFlags {
  readonly olderThan?: number;
  readonly dryRun?: boolean;
}

/** Registers `cache list`, `cache verify` and `cache prune`. */
export function registerCache(program: Command): void {
  const cache = program.command("cache").description("look at, check and tidy what was downloaded");
  common(cache.command("list").description("list cached models, their size and state")).action(
    (flags: CacheFlags) => run(flags, (deps, printer) => list(flags, deps, printer)),
  );
  common(cache.command("verify").description("hash every file of the cached models, or of one"))
    .argument("[repo]", "org/name")
    .action((repo: string | undefined, flags: CacheFlags) =>
      run(flags, (deps, printer) => verify({ repo, flags, deps }, printer)),
    );
  common(cache.command("prune").description("remove unfinished downloads, unused content, and what is named"))
    .argument("[repo]", "org/name: remove all of it")
    .option("--older-than <days>", "remove models that were not used for so many days", daysOf)
    .option("--dry-run", "say what would be removed, remove nothing")
    .action((repo: string | undefined, flags: PruneFlags) =>
      run(flags, (deps, printer) => prune({ repo, flags, deps }, printer)),
    );
}

function common(command: Command): Command {
  return withPrinting(
    command
      .option("--cache-dir <folder>", "cache for checkpoints, in the hub's layout")
      .option("--hf-cache", "the Hugging Face cache"),
  );
}

function run(flags: CacheFlags, work: (deps: SourceDeps, printer: Printer) => Promise<void>): Promise<void> {
  return runCommand(flags, async (printer, signal) => {
    await withSource({ printer, signal }, (deps) => work(deps, printer));
    return true;
  });
}

function optionsOf({ cacheDir, hfCache }: CacheFlags): SourceOptions {
  return withoutGaps({ cacheDir, hfCache });
}

async function list(flags: CacheFlags, deps: SourceDeps, printer: Printer): Promise<void> {
  const { listCache } = await import("../index.ts");
  const entries = await listCache(optionsOf(flags), deps);
  printer.result({ entries }, () =>
    entries.length === 0 ? ["no models are cached"] : entries.map(entryLine),
  );
}

function entryLine({ repo, revisions, complete, problems, nbytes, model, folder }: CacheEntry): string {
  const revision = revisions.join(", ") || "no revision";
  const state = complete ? "complete" : `incomplete (${problems[0] ?? "unknown"})`;
  return `${formatBytes(nbytes).padStart(10)}  ${model.padEnd(10)}  ${repo} @ ${revision}  ${state}  ${folder}`;
}

interface Work<Flags> {
  readonly repo: string | undefined;
  readonly flags: Flags;
  readonly deps: SourceDeps;
}

async function verify({ repo, flags, deps }: Work<CacheFlags>, printer: Printer): Promise<void> {
  const { verifyCache } = await import("../index.ts");
  const entries = await verifyCache(repo, optionsOf(flags), deps);
  if (entries.length === 0) {
    throw new SourceError(
      "E_NOT_CACHED",
      repo === undefined ? "no models are cached" : `${repo} is not cached`,
    );
  }
  printer.result({ entries }, () => entries.map(verdictLine));
  const problems = entries.flatMap(({ entry, problems }) =>
    problems.map((problem) => `${entry.repo}: ${problem}`),
  );
  if (problems.length === 0) return;
  throw new SourceError("E_CACHE_DAMAGED", `cached files are damaged:\n${listProblems(problems)}`, {
    hint: "Download the model again with --force-download, or remove it with `mlc-convert cache prune`.",
  });
}

function verdictLine({ entry, sound, unverified, problems }: VerifiedEntry): string {
  const unknown = unverified.length === 0 ? "" : `, ${unverified.length} without a known hash`;
  const verdict = problems.length === 0 ? "sound" : "damaged";
  return `${verdict}  ${entry.repo}  ${sound} files${unknown}  ${entry.folder}`;
}

async function prune({ repo, flags, deps }: Work<PruneFlags>, printer: Printer): Promise<void> {
  const { pruneCache } = await import("../index.ts");
  const { olderThan: olderThanDays, dryRun } = flags;
  const pruned = await pruneCache(withoutGaps({ repo, olderThanDays, dryRun }), optionsOf(flags), deps);
  const nbytes = pruned.reduce((sum, item) => sum + item.nbytes, 0);
  printer.result({ pruned, nbytes }, () => [
    ...pruned.map((item) => `${formatBytes(item.nbytes).padStart(10)}  ${item.why}  ${item.path}`),
    `${formatBytes(nbytes).padStart(10)}  ${dryRun ? "would be freed" : "freed"}`,
  ]);
}

function daysOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("a number of days is needed");
}
