import type { NamedFile } from "../core/byte-source.ts";
import { elementCount } from "../core/dtype.ts";
import { CheckpointError, listProblems } from "../core/errors.ts";
import type { Checkpoint, SourceFormat, TensorInfo } from "../core/tensor-info.ts";
import type { FileContent, FileTensor } from "./file-tensor.ts";
import type { WeightIndex } from "./weight-index.ts";

/** Weight files that were read, and what is known about how they were found. */
export interface ReadFiles {
  readonly format: SourceFormat;
  readonly files: readonly NamedFile[];
  /** One for each of `files`. */
  readonly contents: readonly FileContent[];
  /** One file was given directly, or a lone `.bin` was found. */
  readonly singleFile: boolean;
  readonly notices: readonly string[];
}

/** The checkpoint that an index describes: names in the index's order, each from the file that the index names. */
export function assembleIndexed(
  read: ReadFiles,
  weightMap: WeightIndex["weightMap"],
  indexName: string,
): Checkpoint {
  const byFile = new Map(
    read.files.map((file, index) => {
      const content = read.contents[index];
      const tensors = new Map(content?.tensors.map((tensor) => [tensor.name, tensor]));
      return [file.name, { index, tensors, empty: new Set(content?.empty) }];
    }),
  );
  const tensors = new Map<string, TensorInfo>();
  const absent: string[] = [];
  for (const [name, fileName] of weightMap) {
    const file = byFile.get(fileName);
    const tensor = file?.tensors.get(name);
    if (file !== undefined && tensor !== undefined) tensors.set(name, inFile(tensor, file.index));
    else if (!file?.empty.has(name)) absent.push(`${name} in ${fileName}`);
  }
  if (absent.length > 0) {
    throw new CheckpointError(
      "E_INDEX_TENSOR_ABSENT",
      `${indexName} lists ${absent.length} tensors that their files do not hold:\n${listProblems(absent)}`,
      { hint: "Fetch the index and the weight files again, all from the same revision." },
    );
  }
  return toCheckpoint(read, tensors);
}

/** The checkpoint in one file without an index: names in the file's order, or sorted by code points. */
export function assembleLone(read: ReadFiles, order: "file" | "sorted"): Checkpoint {
  const inFileOrder = read.contents[0]?.tensors ?? [];
  const ordered = order === "sorted" ? [...inFileOrder].sort(byCodePoints) : inFileOrder;
  return toCheckpoint(read, new Map(ordered.map((tensor) => [tensor.name, inFile(tensor, 0)])));
}

/** Field by field, because a spread takes several times as long and there can be 90 000. */
function inFile(tensor: FileTensor, file: number): TensorInfo {
  const { name, dtype, shape, byteOffset, nbytes, strides } = tensor;
  const info = { name, dtype, shape, file, byteOffset, nbytes };
  return strides === undefined ? info : { ...info, strides };
}

function toCheckpoint(read: ReadFiles, tensors: ReadonlyMap<string, TensorInfo>): Checkpoint {
  if (tensors.size === 0) {
    const names = read.files.map((file) => file.name).join(", ");
    throw new CheckpointError("E_EMPTY_CHECKPOINT", `${names}: expected tensors, found none`);
  }
  return {
    format: read.format,
    files: read.files.map(({ path, name, size }) => ({ path, name, size })),
    tensors,
    stored: read.contents.map((content) =>
      content.tensors.map(({ name, shape }) => ({ name, elements: elementCount(shape) })),
    ),
    singleFile: read.singleFile,
    notices: [...read.notices, ...read.contents.flatMap((content) => content.notices)],
  };
}

/** Python sorts by code points; JavaScript's default sorts by UTF-16 units, which differs above U+FFFF. */
function byCodePoints(a: { readonly name: string }, b: { readonly name: string }): number {
  return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}
