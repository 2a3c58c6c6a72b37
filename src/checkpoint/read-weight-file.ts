import type { NamedFile } from "../core/byte-source.ts";
import { CheckpointError, listProblems } from "../core/errors.ts";
import type { FileContent } from "./file-tensor.ts";
import { inParallel } from "./in-parallel.ts";
import { isLfsPointer } from "./lfs-pointer.ts";
import { readSafetensorsHeader } from "./safetensors-header.ts";
import type { WeightFolder } from "./weight-folder.ts";

const FILES_AT_ONCE = 8;

/**
 * Reads what one weight file holds; the ending of its name says how.
 *
 * @throws {CheckpointError}
 */
export async function readWeightFile(file: NamedFile): Promise<FileContent> {
  if (file.name.endsWith(".safetensors")) {
    return { tensors: await readSafetensorsHeader(file, file.name), empty: [], notices: [] };
  }
  if (/\.(bin|pt|pth)$/.test(file.name)) {
    const { readTorchFile } = await import("./torch-file.ts");
    return readTorchFile(file, file.name);
  }
  throw new CheckpointError(
    "E_FILE_TYPE",
    `${file.name}: expected a file that ends in .safetensors, .bin, .pt or .pth`,
  );
}

/**
 * The files with these names, all of them usable.
 *
 * @throws {CheckpointError} `E_FILES_UNUSABLE` that lists every missing or empty file and every LFS pointer
 */
export async function openWeightFiles(folder: WeightFolder, names: readonly string[]): Promise<NamedFile[]> {
  const usable: NamedFile[] = [];
  const problems: string[] = [];
  const opened = await inParallel(names, FILES_AT_ONCE, async (name) => {
    const file = await folder.file(name);
    if (file === undefined) return `${name}: missing`;
    if (file.size === 0) return `${name}: empty`;
    return (await isLfsPointer(file)) ? `${name}: a Git LFS pointer, not the content` : file;
  });
  for (const result of opened) {
    if (typeof result === "string") problems.push(result);
    else usable.push(result);
  }
  if (problems.length === 0) return usable;
  throw new CheckpointError(
    "E_FILES_UNUSABLE",
    `${folder.location}: expected ${names.length} weight files with content, but:\n${listProblems(problems)}`,
    { hint: "Fetch the files again; in a Git clone, run `git lfs pull`." },
  );
}

/** Reads all files; what is wrong with any of them is reported together. */
export async function readWeightFiles(files: readonly NamedFile[]): Promise<FileContent[]> {
  const contents: FileContent[] = [];
  const errors: CheckpointError[] = [];
  const results = await inParallel(files, FILES_AT_ONCE, (file) =>
    readWeightFile(file).catch((error: unknown) => {
      if (error instanceof CheckpointError) return error;
      throw error;
    }),
  );
  for (const result of results) {
    if (result instanceof CheckpointError) errors.push(result);
    else contents.push(result);
  }
  const [first, ...others] = errors;
  if (first === undefined) return contents;
  if (others.length === 0) throw first;
  throw new CheckpointError(
    first.code,
    `${errors.length} of ${files.length} weight files cannot be read:\n${listProblems(errors.map((error) => error.message))}`,
    { cause: first, ...(first.hint === undefined ? {} : { hint: first.hint }) },
  );
}
