import { readdir } from "node:fs/promises";
import path from "node:path";
import { probeRename } from "../core/write-probe.ts";
import type { SourceDeps } from "./deps.ts";
import { makeFolder } from "./disk.ts";

export interface PartPlace {
  /** `MLC_TEMP_DIR`, if it is set. */
  readonly temp: string | undefined;
  /** `org/name`. */
  readonly repo: string;
  /** Folder that finished files are renamed into. */
  readonly destination: string;
  /** Folder on the destination's volume, for when `temp` is none. */
  readonly beside: string;
}

/**
 * Where unfinished files of a repository grow. Publication is a rename, so `MLC_TEMP_DIR` serves only if a file can
 * be renamed from there into the destination, which is tried (T23); otherwise a notice says that it does not.
 */
export async function partFolder(
  place: PartPlace,
  { onEvent }: Pick<SourceDeps, "onEvent">,
): Promise<string> {
  const { temp, destination, beside } = place;
  if (temp === undefined) return beside;
  const folder = path.join(ownFolder(temp), place.repo.replaceAll("/", "--"));
  try {
    await makeFolder(folder);
    await makeFolder(destination);
    await probeRename(folder, destination);
    return folder;
  } catch {
    const message = `MLC_TEMP_DIR (${temp}) is not used: files cannot be renamed from there into ${destination}`;
    onEvent({ type: "notice", message });
    return beside;
  }
}

/** The folders below `MLC_TEMP_DIR` that hold unfinished files of ours. */
export async function partFolders(temp: string | undefined): Promise<string[]> {
  if (temp === undefined) return [];
  const own = ownFolder(temp);
  return (await readdir(own).catch(() => [])).map((name) => path.join(own, name));
}

function ownFolder(temp: string): string {
  return path.join(temp, "mlc-convert");
}
