import { readdir } from "node:fs/promises";
import type { NamedFile } from "../core/byte-source.ts";
import { openLocalFile, unreadable } from "./local-file.ts";

/** Where weight files are looked up: a folder of this machine, or a list of remote files. */
export interface WeightFolder {
  /** For messages. */
  readonly location: string;
  /** Names of the files directly in the folder, sorted. */
  readonly names: readonly string[];
  /** The file with this name, or `undefined` if there is none. */
  file(name: string): Promise<NamedFile | undefined>;
}

/** A folder of this machine. Links are followed, because hub caches are made of them. */
export async function localFolder(location: string): Promise<WeightFolder> {
  const names = await readdir(location).catch((cause: unknown) => {
    throw unreadable(location, cause);
  });
  names.sort();
  return { location, names, file: (name) => openLocalFile(location, name) };
}

/** Files that are known by name, size and ranged reads, for example those of a remote repository. */
export function folderOfFiles(location: string, files: readonly NamedFile[]): WeightFolder {
  const byName = new Map(files.map((file) => [file.name, file]));
  return { location, names: [...byName.keys()].sort(), file: async (name) => byName.get(name) };
}
