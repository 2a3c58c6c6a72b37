import { stat } from "node:fs/promises";
import path from "node:path";
import { SourceError } from "../core/errors.ts";
import { probeWriting } from "../core/write-probe.ts";
import { acquireCheckpoint } from "./acquire-checkpoint.ts";
import { acquireConverted } from "./acquire-converted.ts";
import { convertedFolder, inspectConverted } from "./converted-cache.ts";
import type { SourceDeps } from "./deps.ts";
import { freeBytesAt, withMargin } from "./disk.ts";
import type { ModelKind } from "./file-choice.ts";
import { type Settings, type SourceOptions, settle } from "./options.ts";
import { plannedFiles, type RemoteSource, type ResolvedSource } from "./resolved.ts";

/** Files of a model that lie on this machine, complete. */
export interface AcquiredModel {
  /** Absolute. */
  readonly folder: string;
  readonly model: ModelKind | undefined;
  /** The model's files, relative to the folder. */
  readonly files: readonly string[];
  /** `org/name`, or the path that was given. */
  readonly source: string;
  readonly commit: string | undefined;
  /** Hashes that were checked in this run, `sha256:…` or `git-sha1:…` by name. */
  readonly verified: ReadonlyMap<string, string>;
  /** Things worth telling the user that are no errors. */
  readonly notices: readonly string[];
}

/**
 * Makes sure that all files of a resolved source are on this machine and verified. A local or cached source is
 * returned as it is; a remote one is downloaded, and published only when it is whole.
 * @throws {SourceError} E_CACHE_READ_ONLY, E_DISK_SPACE, E_DISK_FULL, E_DOWNLOAD_…, E_HUB_…, E_ABORTED; E_NO_WEIGHTS for presets
 */
export async function acquire(
  source: ResolvedSource,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<AcquiredModel> {
  const nothing = new Map<string, string>();
  if (source.kind === "preset") {
    throw new SourceError("E_NO_WEIGHTS", `${source.name} is a built-in configuration without weights`, {
      hint: "Give a folder or a repository for the weights.",
    });
  }
  if (source.kind === "local") {
    const { path: typed, isFile, model, files, notices } = source;
    const folder = isFile ? path.dirname(typed) : typed;
    return { folder, model, files, source: typed, commit: undefined, verified: nothing, notices };
  }
  if (source.kind === "cached") {
    const { folder, model, files, repo, commit, notices } = source;
    if (options.verify && model === "converted") await inspectConverted(folder);
    return { folder, model, files, source: repo, commit, verified: nothing, notices };
  }
  const settings = settle(options, deps);
  const place = placeOf(source, settings);
  await checkWritable(place);
  await checkDiskSpace(source, place, { options, deps });
  const work = { source, settings, options, deps };
  return source.modelKind === "converted" ? acquireConverted(work, place) : acquireCheckpoint(work);
}

/** Where a remote source will be put. */
function placeOf({ modelKind, model }: RemoteSource, settings: Settings): string {
  return modelKind === "converted"
    ? convertedFolder(settings.converted, model)
    : settings.cache.folder(model.repo);
}

/** A cache that takes no files is refused before anything is fetched (T13). */
async function checkWritable(place: string): Promise<void> {
  await probeWriting(place).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SourceError("E_CACHE_READ_ONLY", `${place} cannot be written: ${why}`, {
      cause,
      hint: "Choose another --cache-dir or set MLC_LLM_HOME; what is there already can be used with --cache-policy READONLY.",
    });
  });
}

/** Bytes to fetch and to write must fit before the first of them moves (acquisition.md §6.6). */
async function checkDiskSpace(
  source: RemoteSource,
  place: string,
  { options, deps }: { options: SourceOptions; deps: SourceDeps },
): Promise<void> {
  const missing = plannedFiles(source).reduce((sum, file) => sum + (file.present ? 0 : file.size), 0);
  const free = deps.freeBytes ?? freeBytesAt;
  const output = options.output;
  const together = output !== undefined && (await sameVolume(place, output.folder));
  const needed = withMargin(missing + (together ? output.nbytes : 0));
  const problems: string[] = [];
  const there = await free(place);
  if (needed > there) problems.push(`${place} needs ${needed} bytes and has ${there}`);
  if (output && !together) {
    const room = await free(output.folder);
    const wanted = withMargin(output.nbytes);
    if (wanted > room) problems.push(`${output.folder} needs ${wanted} bytes and has ${room}`);
  }
  if (problems.length === 0) return;
  const message = `not enough disk space: ${problems.join("; ")}`;
  if (options.ignoreDiskSpace) deps.onEvent({ type: "notice", message });
  else
    throw new SourceError("E_DISK_SPACE", message, {
      hint: "Free some space, or choose another --cache-dir.",
    });
}

async function sameVolume(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([volumeOf(a), volumeOf(b)]);
  return one === other;
}

async function volumeOf(folder: string): Promise<number | undefined> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const stats = await stat(at).catch(() => undefined);
    if (stats) return stats.dev;
    if (at === path.dirname(at)) return undefined;
  }
}
