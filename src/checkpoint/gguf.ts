import { basename, dirname } from "node:path";
import type { NamedFile } from "../core/byte-source.ts";
import { CheckpointError, listProblems } from "../core/errors.ts";
import { type GgufMetadata, ggufNumber } from "../core/gguf.ts";
import type { CheckpointFile, TensorInfo } from "../core/tensor-info.ts";
import { type GgufHeader, readGgufHeader } from "./gguf-header.ts";
import { openLocalFile } from "./local-file.ts";

/** A GGUF model as its files describe it, under their own tensor names. */
export interface GgufFiles {
  readonly files: readonly CheckpointFile[];
  /** Of the first part, without `split.*`. */
  readonly metadata: GgufMetadata;
  /** In file order, parts in order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * Names of all parts that a part's name speaks of, or the name alone if it speaks of none.
 * @throws {CheckpointError} `E_GGUF_SPLIT` if the number is beyond the count
 */
export function ggufPartNames(name: string): readonly string[] {
  const match = PART_NAME.exec(name);
  if (!match) return [name];
  const [, prefix = "", number = "", count = ""] = match;
  if (Number(number) < 1 || Number(number) > Number(count)) {
    throw splitError(`${name}: part ${Number(number)} of ${Number(count)}`);
  }
  return Array.from(
    { length: Number(count) },
    (_, i) => `${prefix}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
}

/**
 * Reads the headers of a GGUF model: one file, or all parts beside the one that is named.
 * @param path absolute path of the file or of any of its parts
 * @throws {CheckpointError} `E_GGUF_…`, naming the file and what is wrong with it
 */
export async function readGguf(path: string): Promise<GgufFiles> {
  return readGgufFiles(await openGgufParts(path));
}

/**
 * The file that is named, or all parts of the split model that it belongs to.
 * @throws {CheckpointError} `E_GGUF_MISSING_PART`
 */
export async function openGgufParts(path: string): Promise<readonly NamedFile[]> {
  const files: NamedFile[] = [];
  for (const name of ggufPartNames(basename(path))) {
    const file = await openLocalFile(dirname(path), name);
    if (!file) {
      throw new CheckpointError("E_GGUF_MISSING_PART", `${name} cannot be opened`, {
        hint: "all parts of a split model must lie in one folder",
      });
    }
    files.push(file);
  }
  return files;
}

/**
 * Reads the headers of a GGUF model wherever its files are.
 * @param files the file, or all parts in order
 * @throws {CheckpointError} `E_GGUF_…`, naming the file and what is wrong with it
 */
export async function readGgufFiles(files: readonly NamedFile[]): Promise<GgufFiles> {
  const parts: Part[] = [];
  for (const file of files) parts.push(await readPart(file));
  checkSplit(parts);
  const tensors = new Map<string, TensorInfo>();
  for (const [file, part] of parts.entries()) {
    for (const info of tensorInfos(part, file)) {
      if (tensors.has(info.name))
        throw splitError(`${part.file.name}: ${info.name} is in an earlier part too`);
      tensors.set(info.name, info);
    }
  }
  const first = parts[0]?.header.metadata ?? new Map();
  const metadata = new Map([...first].filter(([key]) => !key.startsWith("split.")));
  return { files: parts.map((part) => part.file), metadata, tensors };
}

interface Part {
  readonly file: CheckpointFile;
  readonly header: GgufHeader;
}

async function readPart(file: NamedFile): Promise<Part> {
  const { path, name, size } = file;
  const readStart = async (length: number): Promise<Uint8Array> => {
    const bytes = await file.read(0, length);
    if (bytes.length === length) return bytes;
    throw new CheckpointError("E_GGUF_TRUNCATED", `${name} shrank while it was read`);
  };
  return { file: { path, name, size }, header: await readGgufHeader({ name, size, readStart }) };
}

/** What the parts say about themselves must agree with their names and with each other. */
function checkSplit(parts: readonly Part[]): void {
  const total = parts.reduce((sum, part) => sum + part.header.tensors.length, 0);
  for (const [index, { file, header }] of parts.entries()) {
    const count = ggufNumber(header.metadata.get("split.count")) ?? 1;
    const number = ggufNumber(header.metadata.get("split.no")) ?? 0;
    const tensors = ggufNumber(header.metadata.get("split.tensors.count")) ?? total;
    if (count > 1 && parts.length === 1) {
      throw splitError(`${file.name} is part ${number + 1} of ${count}, but its name does not say so`);
    }
    if (parts.length === 1) continue;
    if (number !== index || count !== parts.length) {
      throw splitError(
        `${file.name}: expected part ${index + 1} of ${parts.length}, found ${number + 1} of ${count}`,
      );
    }
    if (tensors !== total)
      throw splitError(`${file.name}: expected ${tensors} tensors in all parts, found ${total}`);
  }
}

function tensorInfos({ file, header }: Part, index: number): readonly TensorInfo[] {
  if (header.bigEndian) {
    throw new CheckpointError("E_GGUF_BIG_ENDIAN", `${file.name} was written for big-endian machines`, {
      hint: "get the little-endian file of this model",
    });
  }
  const refused: string[] = [];
  const infos: TensorInfo[] = [];
  for (const { name, type, shape, byteOffset, nbytes } of header.tensors) {
    if (type.dtype === undefined) refused.push(`${name}: ${type.name}`);
    else infos.push({ name, dtype: type.dtype, shape, file: index, byteOffset, nbytes });
  }
  if (refused.length === 0) return infos;
  throw new CheckpointError(
    "E_GGUF_UNSUPPORTED_TYPE",
    `${file.name} has tensors of types that cannot be dequantized:\n${listProblems(refused)}`,
    { hint: "choose a variant in Q8_0, Q4_0 … Q5_1, Q2_K … Q6_K, IQ4_NL, IQ4_XS, MXFP4, F16, BF16 or F32" },
  );
}

function splitError(message: string): CheckpointError {
  return new CheckpointError("E_GGUF_SPLIT", message, {
    hint: "keep the names that the parts were published under, and all parts in one folder",
  });
}
