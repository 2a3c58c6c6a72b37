import { stat } from "node:fs/promises";
import path from "node:path";
import type { NamedFile } from "../core/byte-source.ts";
import { SourceError } from "../core/errors.ts";
import type { Checkpoint } from "../core/tensor-info.ts";
import { assembleIndexed, assembleLone } from "./assemble.ts";
import { locateFile, locateWeights, type RequestedFormat, type WeightsLocation } from "./locate-weights.ts";
import { openWeightFiles, readWeightFiles } from "./read-weight-file.ts";
import { folderOfFiles, localFolder, type WeightFolder } from "./weight-folder.ts";
import { readWeightIndex } from "./weight-index.ts";

export interface OpenOptions {
  /** Default `auto`: by file names, safetensors before PyTorch. */
  readonly sourceFormat?: RequestedFormat;
}

/**
 * Reads which tensors a checkpoint of this machine holds, and where. Only headers are read; nothing stays open.
 *
 * @param source a folder, or one weight or index file in it
 * @throws {SourceError} `E_SOURCE_MISSING` if there is nothing at `source`
 * @throws {CheckpointError} for everything that is wrong with the files, all of a kind together
 */
export async function openCheckpoint(source: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const requested = options.sourceFormat ?? "auto";
  const stats = await stat(source).catch((cause: unknown) => {
    throw new SourceError(
      "E_SOURCE_MISSING",
      `${source}: expected a folder or a weight file, found nothing`,
      {
        cause,
      },
    );
  });
  if (stats.isDirectory()) {
    const folder = await localFolder(source);
    return readLocated(folder, locateWeights(folder, requested), { direct: false });
  }
  const folder = await localFolder(path.dirname(source));
  return readLocated(folder, locateFile(path.basename(source), requested), { direct: true });
}

/**
 * The same for files that are not on this machine, from ranged reads: what is needed to plan before a download.
 * The `path` of the result's files is the address that each file came with.
 *
 * @param location name of the whole, for messages
 * @param files every file of the repository that may matter: indexes and weight files
 */
export async function openRemoteCheckpoint(
  location: string,
  files: readonly NamedFile[],
  options: OpenOptions = {},
): Promise<Checkpoint> {
  const folder = folderOfFiles(location, files);
  return readLocated(folder, locateWeights(folder, options.sourceFormat ?? "auto"), { direct: false });
}

async function readLocated(
  folder: WeightFolder,
  found: WeightsLocation,
  { direct }: { readonly direct: boolean },
): Promise<Checkpoint> {
  const { format, kind, name, notices } = found;
  const opened = await openWeightFiles(folder, [name]);
  if (kind === "lone") {
    const contents = await readWeightFiles(opened);
    const singleFile = direct || format !== "huggingface-safetensor";
    const sorted = format === "awq" && name.endsWith(".safetensors");
    return assembleLone({ format, files: opened, contents, singleFile, notices }, sorted ? "sorted" : "file");
  }
  const { weightMap, fileNames } = await readWeightIndex(opened[0] as NamedFile);
  const files = await openWeightFiles(folder, fileNames);
  const contents = await readWeightFiles(files);
  return assembleIndexed({ format, files, contents, singleFile: false, notices }, weightMap, name);
}
