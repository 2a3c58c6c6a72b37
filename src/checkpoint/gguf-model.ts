import { open } from "node:fs/promises";
import { elementCount, layoutOf } from "../core/dtype.ts";
import type { JsonObject } from "../core/json.ts";
import type { Checkpoint, StoredTensor, TensorInfo } from "../core/tensor-info.ts";
import { type GgufFiles, readGguf } from "./gguf.ts";
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
  const gguf = await readGguf(path);
  const facts = new GgufFacts(gguf.metadata);
  const config = configOf(facts, gguf.tensors, await readRopeTensors(gguf));
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

async function readRopeTensors(gguf: GgufFiles): Promise<RopeTensors> {
  const freqs = await readFactors(gguf, "rope_freqs.weight");
  const long = await readFactors(gguf, "rope_factors_long.weight");
  const short = await readFactors(gguf, "rope_factors_short.weight");
  return { ...(freqs && { freqs }), ...(long && { long }), ...(short && { short }) };
}

async function readFactors({ files, tensors }: GgufFiles, name: string): Promise<Float32Array | undefined> {
  const info = tensors.get(name);
  const path = info && files[info.file]?.path;
  if (!info || path === undefined || info.dtype !== "float32" || info.nbytes > MAX_FACTOR_BYTES)
    return undefined;
  const handle = await open(path);
  try {
    const bytes = new DataView(new ArrayBuffer(info.nbytes));
    const { bytesRead } = await handle.read(bytes, 0, info.nbytes, info.byteOffset);
    return Float32Array.from({ length: Math.floor(bytesRead / 4) }, (_, i) => bytes.getFloat32(i * 4, true));
  } finally {
    await handle.close();
  }
}
