import type { NamedFile } from "../core/byte-source.ts";
import { elementCount, layoutOf } from "../core/dtype.ts";
import type { JsonObject } from "../core/json.ts";
import type { Checkpoint, StoredTensor, TensorInfo } from "../core/tensor-info.ts";
import { type GgufFiles, openGgufParts, readGgufFiles } from "./gguf.ts";
import { configOf } from "./gguf-config.ts";
import { GgufFacts } from "./gguf-facts.ts";
import { originalTensors } from "./gguf-names.ts";
import type { RopeTensors } from "./gguf-rope.ts";

/** A GGUF model as the checkpoint that it was made from. */
export interface GgufModel {
  /** Under the original names; `storedForms` says what must be undone. */
  readonly checkpoint: Checkpoint;
  /** The config.json that belongs to it. */
  readonly config: JsonObject;
  /** The file itself; its metadata also holds the tokenizer (see `rebuildTokenizer`). */
  readonly gguf: GgufFiles;
}

/** Far more than any model's rotary factors take. */
const MAX_FACTOR_BYTES = 65_536;

/**
 * Opens a GGUF model, one file or all parts beside the one that is named, as a checkpoint with original names.
 * @param path absolute path
 * @throws {CheckpointError} `E_GGUF_…`
 */
export async function openGgufModel(path: string): Promise<GgufModel> {
  return openGgufFiles(await openGgufParts(path));
}

/**
 * Opens a GGUF model wherever its files are, reading headers and the few tensors that stand for config fields.
 * @param files the file, or all parts in order
 * @throws {CheckpointError} `E_GGUF_…`
 */
export async function openGgufFiles(files: readonly NamedFile[]): Promise<GgufModel> {
  const gguf = await readGgufFiles(files);
  const facts = new GgufFacts(gguf.metadata);
  const config = configOf(facts, gguf.tensors, await readRopeTensors(gguf, files));
  const { heads, kvHeads, headDim, experts, architecture } = facts;
  const { tensors, storedForms } = originalTensors(gguf.tensors, {
    architecture,
    heads,
    kvHeads,
    headDim,
    experts,
  });
  const stored = gguf.files.map((_, file) => storedIn(tensors, file));
  const checkpoint: Checkpoint = {
    format: "gguf",
    files: gguf.files,
    tensors,
    stored,
    singleFile: gguf.files.length === 1,
    notices: quantizedNotice(gguf.tensors),
    storedForms,
  };
  return { checkpoint, config, gguf };
}

function storedIn(tensors: ReadonlyMap<string, TensorInfo>, file: number): readonly StoredTensor[] {
  return [...tensors.values()]
    .filter((info) => info.file === file)
    .map(({ name, shape }) => ({ name, elements: elementCount(shape) }));
}

/** Quantizing twice loses twice; whoever does it should know. */
function quantizedNotice(tensors: ReadonlyMap<string, TensorInfo>): readonly string[] {
  const counts = new Map<string, number>();
  for (const { dtype } of tensors.values()) {
    if (layoutOf(dtype).blockElements > 1) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const kinds = [...counts].map(([dtype, count]) => `${count} tensors in ${dtype}`).join(", ");
  return [
    `The source is already quantized (${kinds}): what it lost stays lost, and quantizing again loses more. Prefer an F16, BF16 or F32 source.`,
  ];
}

async function readRopeTensors(gguf: GgufFiles, files: readonly NamedFile[]): Promise<RopeTensors> {
  const read = (name: string): Promise<Float32Array | undefined> => readFactors(gguf, files, name);
  const freqs = await read("rope_freqs.weight");
  const long = await read("rope_factors_long.weight");
  const short = await read("rope_factors_short.weight");
  return { ...(freqs && { freqs }), ...(long && { long }), ...(short && { short }) };
}

async function readFactors(
  { tensors }: GgufFiles,
  files: readonly NamedFile[],
  name: string,
): Promise<Float32Array | undefined> {
  const info = tensors.get(name);
  const file = info && files[info.file];
  if (!info || !file || info.dtype !== "float32" || info.nbytes > MAX_FACTOR_BYTES) return undefined;
  const bytes = await file.read(info.byteOffset, info.byteOffset + info.nbytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getFloat32(i * 4, true));
}
