import type { Command } from "commander";
import { UsageError } from "../core/errors.ts";
import type { SourceOptions } from "../index.ts";

/** The flags that every command with a model's name understands. */
export interface SourceFlags {
  readonly revision?: string;
  readonly cacheDir?: string;
  readonly cachePolicy?: string;
  readonly hfCache?: boolean;
  readonly localFilesOnly?: boolean;
  /** `--token <t>` gives text, `--no-token` gives false. */
  readonly token?: string | boolean;
  readonly endpoint?: string;
  readonly ggufFile?: string;
  readonly include?: string[];
  readonly exclude?: string[];
  readonly maxFiles?: string;
  readonly maxRanges?: string;
  readonly limitRate?: string;
  readonly forceDownload?: boolean;
  readonly ignoreDiskSpace?: boolean;
  readonly verifyCache?: boolean;
}

/** Adds the flags of {@link SourceFlags} to a command. */
export function addSourceFlags(command: Command): Command {
  return command
    .option("--revision <name>", "branch, tag, commit or refs/pr/N")
    .option("--cache-dir <folder>", "cache for checkpoints, in the hub's layout")
    .option("--cache-policy <policy>", "ON, OFF, REDO or READONLY")
    .option("--hf-cache", "write into the Hugging Face cache, for other tools to find")
    .option("--local-files-only", "use what is cached, never the network")
    .option("--token <token>", "token for private and gated models")
    .option("--no-token", "send no token, whatever is stored")
    .option("--endpoint <address>", "address of the hub or a mirror")
    .option("--gguf-file <name>", "which GGUF file of the model: its name, a pattern, or e.g. Q4_K_M")
    .option("--include <pattern...>", "fetch the files that match, instead of the usual choice")
    .option("--exclude <pattern...>", "leave out files that match")
    .option("--max-files <n>", "files at a time (4)")
    .option("--max-ranges <n>", "connections for one file (4)")
    .option("--limit-rate <bytes>", "bytes per second for all files together; K, M and G are understood")
    .option("--force-download", "download again and replace what is cached")
    .option("--ignore-disk-space", "go on even if the disk seems too small")
    .option("--verify-cache", "hash cached files too");
}

/**
 * Options for acquisition from flags.
 * @throws {UsageError} E_OPTION for numbers that are none
 */
export function toSourceOptions(flags: SourceFlags): SourceOptions {
  const all = {
    revision: flags.revision,
    cacheDir: flags.cacheDir,
    cachePolicy: flags.cachePolicy,
    hfCache: flags.hfCache,
    localFilesOnly: flags.localFilesOnly,
    token: tokenOf(flags),
    endpoint: flags.endpoint,
    ggufFile: flags.ggufFile,
    include: flags.include,
    exclude: flags.exclude,
    forceRedo: flags.forceDownload,
    ignoreDiskSpace: flags.ignoreDiskSpace,
    verify: flags.verifyCache,
    download: withoutGaps({
      files: countOf("--max-files", flags.maxFiles),
      ranges: countOf("--max-ranges", flags.maxRanges),
      bytesPerSecond: rateOf(flags.limitRate),
    }),
  };
  return withoutGaps(all);
}

const NAMES: readonly string[] = [
  "revision",
  "cacheDir",
  "cachePolicy",
  "hfCache",
  "localFilesOnly",
  "token",
  "endpoint",
  "include",
  "exclude",
  "maxFiles",
  "maxRanges",
  "limitRate",
  "forceDownload",
  "ignoreDiskSpace",
  "verifyCache",
] satisfies readonly (keyof SourceFlags)[];

/** Flags without those of {@link SourceFlags}, so that no token goes where it is not needed. */
export function withoutSourceFlags<T extends SourceFlags>(flags: T): Omit<T, keyof SourceFlags> {
  const others = Object.entries(flags).filter(([name]) => !NAMES.includes(name));
  return Object.fromEntries(others) as Omit<T, keyof SourceFlags>;
}

/** `--no-token` sends none; without a flag the stored one is looked up. */
function tokenOf({ token }: SourceFlags): string | false | undefined {
  return token === true ? undefined : token;
}

type WithoutGaps<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Leaves out what is `undefined`: absent and undefined are different things in options. */
export function withoutGaps<T extends object>(object: T): WithoutGaps<T> {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as WithoutGaps<T>;
}

function countOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError("E_OPTION", `${flag} must be a whole number from 1 on, found "${text}"`);
}

function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(text) ?? [];
  const factor = { "": 1, K: 1e3, M: 1e6, G: 1e9 }[unit.toUpperCase()];
  if (number !== undefined && factor !== undefined && Number(number) > 0) return Number(number) * factor;
  throw new UsageError(
    "E_OPTION",
    `--limit-rate must be a number of bytes such as 500K or 10M, found "${text}"`,
  );
}
