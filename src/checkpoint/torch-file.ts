import type { ByteSource } from "../core/byte-source.ts";
import { elementCount, layoutOf } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import type { FileContent, FileTensor } from "./file-tensor.ts";
import { PickleDict, PickleList, type PickleValue } from "./pickle-values.ts";
import type { TorchContainer } from "./torch-container.ts";
import { readTorchLegacy } from "./torch-legacy.ts";
import { TorchTensor } from "./torch-objects.ts";
import { readTorchZip } from "./torch-zip.ts";

const ZIP_START = [0x50, 0x4b, 0x03, 0x04];
const LEGACY_START = [
  0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];

/**
 * Reads what a `.bin` or `.pt` file holds (formats.md §2), without its weights and without running anything.
 *
 * @param source the file
 * @param where its name, for messages
 * @throws {CheckpointError} `E_TORCH_CONTAINER`, `E_TORCH_STATE_DICT`, `E_TORCH_STORAGE`, and those of pickles and archives
 */
export async function readTorchFile(source: ByteSource, where: string): Promise<FileContent> {
  const container = await readContainer(source, where);
  const { object, storageOffsets, notices } = container;
  if (!(object instanceof PickleDict))
    throw notStateDict(`${where}: expected a dictionary of tensors`, object);
  const tensors: FileTensor[] = [];
  const empty: string[] = [];
  for (const [name, value] of object.entries) {
    if (typeof name !== "string") throw notStateDict(`${where}: expected names as keys`, name);
    if (value === null) empty.push(name);
    else if (value instanceof TorchTensor) tensors.push(placeTensor(name, value, { storageOffsets, where }));
    else throw notStateDict(`${where}: ${name}: expected a tensor`, value);
  }
  if (empty.length === 0) return { tensors, empty, notices };
  const shown = empty.slice(0, 3).join(", ") + (empty.length > 3 ? ", …" : "");
  return {
    tensors,
    empty,
    notices: [...notices, `${where}: skipped ${empty.length} names that hold None: ${shown}`],
  };
}

async function readContainer(source: ByteSource, where: string): Promise<TorchContainer> {
  const start = await source.read(0, Math.min(source.size, 512));
  if (startsWith(start, ZIP_START)) return readTorchZip(source, where);
  if (startsWith(start, LEGACY_START)) return readTorchLegacy(source, where);
  const tar = new TextDecoder().decode(start.subarray(257, 262)) === "ustar";
  const found = tar ? "a tar archive, PyTorch's oldest format" : "something else";
  throw new CheckpointError(
    "E_TORCH_CONTAINER",
    `${where}: expected a file of torch.save (zip or legacy container), found ${found}`,
    { hint: "Load it with PyTorch and save it again, or fetch the file again." },
  );
}

/** Checks a view against its storage and finds its bytes in the file. */
function placeTensor(
  name: string,
  tensor: TorchTensor,
  place: { readonly storageOffsets: ReadonlyMap<string, number>; readonly where: string },
): FileTensor {
  const { storage, dtype, shape, strides } = tensor;
  const start = place.storageOffsets.get(storage.key) ?? 0;
  const { blockBytes } = layoutOf(dtype);
  const storageBytes = storage.dtype === undefined ? 1 : layoutOf(storage.dtype).blockBytes;
  const elements = Math.floor((storage.part.elements * storageBytes) / blockBytes);
  const count = elementCount(shape);
  const span =
    count === 0 ? 0 : 1 + shape.reduce((sum, extent, axis) => sum + (extent - 1) * (strides[axis] ?? 0), 0);
  if (!Number.isSafeInteger(count * blockBytes) || (count > 0 && tensor.offset + span > elements)) {
    throw new CheckpointError(
      "E_TORCH_STORAGE",
      `${place.where}: ${name}: expected a view inside the ${elements} elements of storage ${storage.key}, ` +
        `found offset ${tensor.offset}, shape [${shape.join(", ")}], strides [${strides.join(", ")}]`,
      { hint: "Fetch the file again; its tensors do not fit its storages." },
    );
  }
  const byteOffset =
    start + storage.part.offset * storageBytes + (count === 0 ? 0 : tensor.offset * blockBytes);
  const info = { name, dtype, shape, byteOffset, nbytes: span * blockBytes };
  return count === 0 || isContiguous(shape, strides) ? info : { ...info, strides };
}

/** True if the elements lie one after the other; the stride of an axis of one element means nothing. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis] ?? 1;
    if (extent !== 1 && strides[axis] !== expected) return false;
    expected *= extent;
  }
  return true;
}

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

function notStateDict(expected: string, found: PickleValue): CheckpointError {
  return new CheckpointError("E_TORCH_STATE_DICT", `${expected}, found ${describe(found)}`, {
    hint: "This is no plain state dict; load it with PyTorch and save its state dict alone.",
  });
}

function describe(value: PickleValue): string {
  if (value === null) return "None";
  if (typeof value === "string") return "a text";
  if (typeof value === "boolean") return "a truth value";
  if (typeof value === "number" || typeof value === "bigint") return "a number";
  if (value instanceof PickleDict) return "a dictionary";
  if (value instanceof PickleList) return "a list";
  return value instanceof TorchTensor ? "a tensor" : "another object";
}
