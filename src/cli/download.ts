import type { Command } from "commander";
import type { RemoteSource, ResolvedSource, SourceDeps } from "../index.ts";
import { withPrinting } from "./conversion-options.ts";
import type { Printer } from "./printer.ts";
import { runCommand } from "./run-command.ts";
import { addSourceFlags, type SourceFlags, toSourceOptions } from "./source-flags.ts";
import { formatBytes } from "./units.ts";

interface DownloadFlags extends SourceFlags {
  readonly skipWeights?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  $ mlc-convert download org/model
  $ mlc-convert download org/model@v2 --skip-weights
  $ mlc-convert download HF://org/model --dry-run`;

/** Registers `download <model>`: any model name becomes verified files on this machine. */
export function registerDownload(program: Command): void {
  const command = program
    .command("download")
    .description("fetch a model, verify it, and print the folder it lies in")
    .argument("<model>", "org/repo[@revision], HF://org/repo, an address on the hub, or a local folder")
    .option("--skip-weights", "configuration and tokenizer only")
    .option("--dry-run", "list files, sizes and what is already there; fetch nothing")
    .addHelpText("after", EXAMPLES);
  withPrinting(addSourceFlags(command)).action((model: string, flags: DownloadFlags) =>
    runCommand(flags, (printer, signal) => download(model, flags, { printer, signal })),
  );
}

interface Running {
  readonly printer: Printer;
  readonly signal: AbortSignal;
}

/** Opens what acquisition needs, and closes it when the work is done. */
export async function withSource<T>(
  { printer, signal }: Running,
  work: (deps: SourceDeps) => Promise<T>,
): Promise<T> {
  const { sourceDeps } = await import("../acquire-model.ts");
  const { deps, close } = await sourceDeps({ onEvent: printer.onEvent.bind(printer), signal });
  try {
    return await work(deps);
  } finally {
    await close();
  }
}

async function download(model: string, flags: DownloadFlags, running: Running): Promise<boolean> {
  const options = { ...toSourceOptions(flags), ...(flags.skipWeights ? { skipWeights: true } : {}) };
  const { printer } = running;
  await withSource(running, async (deps) => {
    const { acquire, resolveSource } = await import("../index.ts");
    deps.onEvent({ type: "phase", phase: "resolve" });
    const source = await resolveSource(model, options, deps);
    if (flags.dryRun) return tellPlan(source, printer);
    deps.onEvent({ type: "phase", phase: "download" });
    const { verified, ...acquired } = await acquire(source, options, deps);
    tell(acquired.notices, printer);
    printer.result({ ...acquired, verified: Object.fromEntries(verified) }, () => [acquired.folder]);
  });
  return true;
}

function tell(notices: readonly string[], printer: Printer): void {
  for (const message of notices) printer.onEvent({ type: "notice", message });
}

async function tellPlan(source: ResolvedSource, printer: Printer): Promise<void> {
  tell(source.notices, printer);
  if (source.kind === "remote") return tellRemote(source, printer);
  const place =
    source.kind === "local" ? source.path : source.kind === "cached" ? source.folder : source.name;
  printer.result({ kind: source.kind, place }, () => [`${place}: nothing to fetch`]);
}

async function tellRemote(source: RemoteSource, printer: Printer): Promise<void> {
  const { plannedBytes, plannedFiles } = await import("../index.ts");
  const files = plannedFiles(source);
  const { repo, revision, commit } = source.model;
  const bytes = plannedBytes(source);
  printer.result({ kind: "remote", repo, revision, commit, ...bytes, files }, () => [
    `${repo} at ${revision} (${commit})`,
    ...files.map(
      ({ name, size, present }) =>
        `${formatBytes(size).padStart(10)}  ${present ? "have " : "fetch"}  ${name}`,
    ),
    `${formatBytes(bytes.missing).padStart(10)}  to fetch of ${formatBytes(bytes.total)}`,
  ]);
}
