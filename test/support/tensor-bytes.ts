import { open } from "node:fs/promises";
import { elementCount, layoutOf } from "../../src/core/dtype.ts";
import type { Checkpoint } from "../../src/core/tensor-info.ts";

/** The bytes of a tensor of a local checkpoint, gathered in row-major order whatever its strides. */
export async function tensorBytes(checkpoint: Checkpoint, name: string): Promise<Uint8Array> {
  const tensor = checkpoint.tensors.get(name);
  const file = checkpoint.files[tensor?.file ?? -1];
  if (tensor === undefined || file === undefined) throw new Error(`no tensor ${name}`);
  const stored = Buffer.alloc(tensor.nbytes);
  const handle = await open(file.path);
  await handle.read(stored, 0, stored.length, tensor.byteOffset);
  await handle.close();
  if (tensor.strides === undefined) return stored;
  const size = layoutOf(tensor.dtype).blockBytes;
  const gathered = Buffer.alloc(elementCount(tensor.shape) * size);
  const index = tensor.shape.map(() => 0);
  for (let at = 0; at < gathered.length; at += size) {
    const element = index.reduce((sum, i, axis) => sum + i * (tensor.strides?.[axis] ?? 0), 0);
    stored.copy(gathered, at, element * size, (element + 1) * size);
    for (let axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (tensor.shape[axis] ?? 0)) break;
      index[axis] = 0;
    }
  }
  return gathered;
}
