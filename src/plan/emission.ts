import { type DType, elementCount, layoutOf } from "../core/dtype.ts";
import type { Checkpoint } from "../core/tensor-info.ts";
import type { OutputTensor, PlanMetadata } from "./plan.ts";

interface HasSources {
  readonly sources: readonly string[];
}

/**
 * Puts parameters into upstream's output order: files in order of first appearance, names within a file in
 * source order, and for each name the parameters that use it, in map order (formats.md §5).
 */
export function emissionOrder<T extends HasSources>(
  parameters: readonly T[],
  checkpoint: Checkpoint,
): readonly T[] {
  const users = new Map<string, T[]>();
  for (const parameter of parameters) {
    for (const source of parameter.sources) {
      const list = users.get(source);
      if (list) list.push(parameter);
      else users.set(source, [parameter]);
    }
  }
  const ordered = new Set<T>();
  for (const name of namesByFile(checkpoint)) {
    for (const parameter of users.get(name) ?? []) ordered.add(parameter);
  }
  return [...ordered];
}

function namesByFile(checkpoint: Checkpoint): readonly string[] {
  const files = new Map<number, string[]>();
  for (const { name, file } of checkpoint.tensors.values()) {
    const names = files.get(file);
    if (names) names.push(name);
    else files.set(file, [name]);
  }
  return [...files.values()].flat();
}

/** Bytes an element takes in memory, which is what `ParamBytes` counts. */
function memoryBytes(dtype: DType, elements: number): number {
  const { blockBytes, blockElements } = layoutOf(dtype);
  return (elements / blockElements) * blockBytes;
}

export interface MetadataInput {
  readonly tensors: readonly OutputTensor[];
  /** Parameters in emission order, with their sources. */
  readonly emitted: readonly HasSources[];
  readonly checkpoint: Checkpoint;
  readonly declaredUnused: ReadonlySet<string>;
}

/** The index's metadata numbers (formats.md §6.1, §6.2). */
export function metadataOf(input: MetadataInput): PlanMetadata {
  const paramBytes = input.tensors.reduce(
    (sum, { dtype, shape }) => sum + memoryBytes(dtype, elementCount(shape)),
    0,
  );
  const { tensors } = input.checkpoint;
  const used = new Set(input.emitted.flatMap(({ sources }) => sources));
  let sourceParameters = 0;
  for (const name of used) sourceParameters += elementCount(tensors.get(name)?.shape ?? [0]);
  return {
    paramSize: input.tensors.length,
    paramBytes,
    bitsPerParam: (paramBytes * 8) / elementsRead(input),
    sourceParameters,
  };
}

/** Source elements that upstream's loader reads, counting files again that it loads again. */
function elementsRead({ emitted, checkpoint, declaredUnused }: MetadataInput): number {
  const sizes = checkpoint.stored.map((tensors) =>
    tensors.reduce((sum, { name, elements }) => (declaredUnused.has(name) ? sum : sum + elements), 0),
  );
  if (checkpoint.singleFile) return sizes[0] ?? 0;
  let loaded = new Set<number>();
  let total = 0;
  for (const { sources } of emitted) {
    const needed = new Set<number>();
    for (const source of sources) needed.add(checkpoint.tensors.get(source)?.file as number);
    if ([...needed].every((file) => loaded.has(file))) continue;
    for (const file of needed) if (!loaded.has(file)) total += sizes[file] ?? 0;
    loaded = needed;
  }
  return total;
}
