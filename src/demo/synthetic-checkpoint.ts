import { type FileHandle, open, writeFile } from "node:fs/promises";
import path from "node:path";
import { elementBytes, elementsOf, type SyntheticTensor, syntheticBytes } from "./synthetic-tensor.ts";

/** Made and written at once, so that a file of any size needs little memory. */
const CHUNK_ELEMENTS = 1 << 20;

export interface SyntheticFile {
  /** Name of the file in the folder. */
  readonly name: string;
  /** In data order. */
  readonly tensors: readonly SyntheticTensor[];
}

export interface SyntheticCheckpoint {
  readonly files: readonly SyntheticFile[];
  /** Tensor name → file name, in the index's order; without it no index is written. */
  readonly weightMap?: readonly (readonly [tensor: string, file: string])[];
  /** F32 tensors that hold this value throughout instead of synthetic ones. */
  readonly fill?: Readonly<Record<string, number>>;
  /** Content of `config.json`; without it none is written. */
  readonly config?: unknown;
}

/** Writes a safetensors checkpoint of synthetic tensors into an existing folder. */
export async function writeSyntheticCheckpoint(
  folder: string,
  checkpoint: SyntheticCheckpoint,
): Promise<void> {
  for (const file of checkpoint.files) {
    await writeSyntheticSafetensors(path.join(folder, file.name), file.tensors, checkpoint.fill);
  }
  if (checkpoint.weightMap) {
    const index = { metadata: {}, weight_map: Object.fromEntries(checkpoint.weightMap) };
    await writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  }
  if (checkpoint.config !== undefined) {
    await writeFile(path.join(folder, "config.json"), JSON.stringify(checkpoint.config));
  }
}

/** Writes one safetensors file of synthetic tensors, in the order given. */
export async function writeSyntheticSafetensors(
  filePath: string,
  tensors: readonly SyntheticTensor[],
  fill: Readonly<Record<string, number>> = {},
): Promise<void> {
  const file = await open(filePath, "w");
  try {
    await file.write(safetensorsHeader(tensors));
    for (const tensor of tensors) {
      const value = fill[tensor.name];
      await writeTensor(file, tensor, (start, end) =>
        value === undefined ? syntheticBytes(tensor, start, end) : filled(value, end - start),
      );
    }
  } finally {
    await file.close();
  }
}

async function writeTensor(
  file: FileHandle,
  tensor: SyntheticTensor,
  make: (start: number, end: number) => Uint8Array,
): Promise<void> {
  const count = elementsOf(tensor);
  for (let start = 0; start < count; start += CHUNK_ELEMENTS) {
    await file.write(make(start, Math.min(count, start + CHUNK_ELEMENTS)));
  }
}

/** The length and the header of a safetensors file: padded with spaces to a multiple of 8. */
function safetensorsHeader(tensors: readonly SyntheticTensor[]): Uint8Array {
  const entries = new Map<string, unknown>([["__metadata__", { format: "pt" }]]);
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + elementsOf(tensor) * elementBytes(tensor.dtype);
    entries.set(tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] });
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(text, 8);
  return header;
}

function filled(value: number, count: number): Uint8Array {
  return new Uint8Array(new Float32Array(count).fill(value).buffer);
}
