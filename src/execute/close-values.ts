import { open } from "node:fs/promises";
import { CheckpointError, listProblems } from "../core/errors.ts";
import type { CheckpointFile, TensorInfo } from "../core/tensor-info.ts";
import type { OutputTensor } from "../plan/plan.ts";

const RELATIVE = 1e-5;
const ABSOLUTE = 1e-8;

/**
 * Checks the sources of which only the first is taken: all must hold nearly the same numbers.
 * They are scales of a few elements, so they are read here and not streamed.
 * @throws {CheckpointError} `E_SCALES_DIFFER`
 */
export async function checkCloseValues(
  files: readonly CheckpointFile[],
  tensors: readonly OutputTensor[],
): Promise<void> {
  const problems: string[] = [];
  for (const { name, value } of tensors) {
    for (const [taken, other] of value.mustBeClose) {
      const [expected, found] = await Promise.all([readFloats(files, taken), readFloats(files, other)]);
      const at = expected.findIndex((first, index) => !isClose(first, found[index] as number));
      if (at < 0) continue;
      problems.push(`${name}: ${taken.name} holds ${expected[at]}, ${other.name} holds ${found[at]}`);
    }
  }
  if (problems.length === 0) return;
  throw new CheckpointError(
    "E_SCALES_DIFFER",
    `scales that must be equal differ:\n${listProblems(problems)}`,
    {
      hint: "the checkpoint was quantized layer by layer in a way that fused weights cannot keep",
    },
  );
}

const isClose = (first: number, other: number): boolean =>
  Math.abs(other - first) <= ABSOLUTE + RELATIVE * Math.abs(first);

async function readFloats(files: readonly CheckpointFile[], tensor: TensorInfo): Promise<readonly number[]> {
  const handle = await open((files[tensor.file] as CheckpointFile).path, "r");
  try {
    const bytes = new Uint8Array(tensor.nbytes);
    await handle.read(bytes, 0, tensor.nbytes, tensor.byteOffset);
    const view = new DataView(bytes.buffer);
    if (tensor.dtype === "float32") return range(tensor.nbytes / 4, (i) => view.getFloat32(4 * i, true));
    return range(tensor.nbytes / 2, (i) => bfloat16At(view, 2 * i));
  } finally {
    await handle.close();
  }
}

const range = (count: number, at: (index: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => at(i));

function bfloat16At(view: DataView, offset: number): number {
  const wide = new DataView(new ArrayBuffer(4));
  wide.setUint16(2, view.getUint16(offset, true), true);
  return wide.getFloat32(0, true);
}
