import type { ListedFile } from "../core/gguf-files.ts";
import type { CacheDecision } from "./cache-policy.ts";
import type { ConvertedShard, ModelKind } from "./file-choice.ts";
import type { HubModel, RemoteFile } from "./hub-client.ts";

/** What a name turned out to be. Nothing was fetched yet but file lists and indexes. */
export type ResolvedSource = LocalSource | PresetSource | CachedSource | RemoteSource;

interface Told {
  /** Things worth telling the user that are no errors, one sentence each. */
  readonly notices: readonly string[];
}

/** A folder or file of the user's own; never modified. */
export interface LocalSource extends Told {
  readonly kind: "local";
  readonly path: string;
  readonly isFile: boolean;
  /** `undefined` for files, and for folders with neither config.json nor mlc-chat-config.json. */
  readonly model: ModelKind | undefined;
  /** The model's files, relative to the folder. */
  readonly files: readonly string[];
}

/** A built-in configuration without weights. */
export interface PresetSource extends Told {
  readonly kind: "preset";
  readonly name: string;
}

/** A complete model in a cache. */
export interface CachedSource extends Told {
  readonly kind: "cached";
  readonly folder: string;
  readonly repo: string;
  readonly revision: string;
  /** Unknown for entries that other programs made. */
  readonly commit: string | undefined;
  readonly model: ModelKind;
  readonly files: readonly string[];
  readonly readOnly: boolean;
  /** All files of the commit, where an earlier list of the hub is kept. */
  readonly listing?: readonly ListedFile[];
}

/** A model on the hub at a commit, with the files to fetch. */
export interface RemoteSource extends Told {
  readonly kind: "remote";
  readonly model: HubModel;
  readonly modelKind: ModelKind;
  /** The chosen files. */
  readonly files: readonly RemoteFile[];
  /** All files of the commit. */
  readonly allFiles: readonly RemoteFile[];
  /** Names that are in the cache with the right size. */
  readonly present: ReadonlySet<string>;
  /** MD5 of shards where a converted model's index says them. */
  readonly shards: readonly ConvertedShard[];
  readonly decision: CacheDecision;
}

/** Sizes for `--dry-run`: what would be fetched and what is there. */
export interface PlannedFile {
  readonly name: string;
  readonly size: number;
  readonly present: boolean;
}

/** The files of a remote source with what is already there. */
export function plannedFiles(source: RemoteSource): PlannedFile[] {
  return source.files.map(({ path, size }) => ({ name: path, size, present: source.present.has(path) }));
}

/** How many bytes a remote source has, and how many of them are to be fetched. */
export function plannedBytes(source: RemoteSource): { total: number; missing: number } {
  const files = plannedFiles(source);
  const sum = (list: readonly PlannedFile[]) => list.reduce((bytes, file) => bytes + file.size, 0);
  return { total: sum(files), missing: sum(files.filter((file) => !file.present)) };
}
