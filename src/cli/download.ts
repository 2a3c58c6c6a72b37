import type { Command } from "commander";
import type { RemoteSource, ResolvedSource } from "../index.ts";
import { type Outside, thisProcess, withSource } from "./outside.ts";
import { addSourceFlags, type SourceFlags, toSourceOptions } from "./source-flags.ts";
import { formatBytes } from "./units.ts";

interface DownloadFlags extends SourceFlags {
  readonly skipWeights?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Adds `download <model>`: any model name becomes verified files on this machine. */
export function registerDownload(program: Command, outside: Outside = thisProcess()): void {
  const command = program
    .command("download")
    .description("fetch a model, verify it, and print the folder it lies in")
    .argument("<model>", "org/repo[@revision], HF://org/repo, an address on the hub, or a local folder")
    .option("--skip-weights", "configuration and tokenizer only")
    .option("--dry-run", "list files, sizes and what is already there; fetch nothing")
    .option("--json", "print the result as JSON");
  addSourceFlags(command).action((model: string, flags: DownloadFlags) => download(model, flags, outside));
}

async function download(model: string, flags: DownloadFlags, outside: Outside): Promise<void> {
  const options = { ...toSourceOptions(flags), ...(flags.skipWeights ? { skipWeights: true } : {}) };
  await withSource(outside, async (deps) => {
    const { acquire, resolveSource } = await import("../index.ts");
    const source = await resolveSource(model, options, deps);
    if (flags.dryRun) return printPlan(source, flags, outside);
    const { verified, notices, ...acquired } = await acquire(source, options, deps);
    for (const notice of notices) outside.note(notice);
    const result = { ...acquired, notices, verified: Object.fromEntries(verified) };
    outside.print(flags.json ? JSON.stringify(result, null, 2) : acquired.folder);
  });
}

async function printPlan(source: ResolvedSource, flags: DownloadFlags, outside: Outside): Promise<void> {
  for (const notice of source.notices) outside.note(notice);
  if (source.kind === "remote") {
    await printRemote(source, flags, outside);
    return;
  }
  const place =
    source.kind === "local" ? source.path : source.kind === "cached" ? source.folder : source.name;
  outside.print(
    flags.json ? JSON.stringify({ kind: source.kind, place }, null, 2) : `${place}: nothing to fetch`,
  );
}

async function printRemote(source: RemoteSource, { json }: DownloadFlags, { print }: Outside): Promise<void> {
  const { plannedBytes, plannedFiles } = await import("../index.ts");
  const files = plannedFiles(source);
  const { repo, revision, commit } = source.model;
  const bytes = plannedBytes(source);
  if (json) {
    print(JSON.stringify({ kind: "remote", repo, revision, commit, ...bytes, files }, null, 2));
    return;
  }
  print(`${repo} at ${revision} (${commit})`);
  for (const { name, size, present } of files) {
    print(`${formatBytes(size).padStart(10)}  ${present ? "have " : "fetch"}  ${name}`);
  }
  print(`${formatBytes(bytes.missing).padStart(10)}  to fetch of ${formatBytes(bytes.total)}`);
}
