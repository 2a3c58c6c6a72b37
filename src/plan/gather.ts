import type { TensorInfo } from "../core/tensor-info.ts";

/** A strided view of one source tensor; strides and offsets count elements. */
export interface Block {
  readonly tensor: TensorInfo;
  /** Element at which the view starts, counted from the tensor's first byte. */
  readonly offset: number;
  readonly extents: readonly number[];
  readonly strides: readonly number[];
  /** Step from one outer repetition to the next; see {@link Gather}. */
  readonly outerStride: number;
}

/** Elements in row-major order: `outer` times, one block after the other. */
export interface Gather {
  readonly outer: number;
  readonly blocks: readonly Block[];
}

export const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);

/** Row-major strides of a contiguous tensor. */
export function contiguousStrides(extents: readonly number[]): number[] {
  const strides: number[] = new Array(extents.length);
  let step = 1;
  for (let axis = extents.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= extents[axis] as number;
  }
  return strides;
}

/** All of one tensor. */
export function gatherOf(tensor: TensorInfo): Gather {
  const strides = tensor.strides ?? contiguousStrides(tensor.shape);
  return { outer: 1, blocks: [{ tensor, offset: 0, extents: tensor.shape, strides, outerStride: 0 }] };
}

/** One gather behind the other. Only for gathers without repetition. */
export function inSequence(parts: readonly Gather[]): Gather {
  return { outer: 1, blocks: parts.flatMap((part) => part.blocks) };
}

/**
 * Joins matrices [outer, n_k] along their columns: row 0 of each, then row 1 of each, …
 * Each part must be one block whose leading axes, `outer` rows in all, lie a fixed step apart.
 */
export function interleave(parts: readonly Gather[], outer: number): Gather | undefined {
  const blocks: Block[] = [];
  for (const part of parts) {
    const block = splitRows(part, outer);
    if (!block) return undefined;
    blocks.push(block);
  }
  return { outer, blocks };
}

function splitRows(part: Gather, outer: number): Block | undefined {
  const [block] = part.blocks;
  if (!block || part.blocks.length > 1 || part.outer !== 1) return undefined;
  const merged = mergeAxes(block);
  const columns = product(block.extents) / outer;
  const flat = regroup(merged, [outer, columns]);
  if (!flat) return undefined;
  const [rowStride, columnStride] = flat as [number, number];
  return { ...block, extents: [columns], strides: [columnStride], outerStride: rowStride };
}

interface Axes {
  readonly extents: readonly number[];
  readonly strides: readonly number[];
}

/** Joins neighbouring axes that lie one behind the other. */
function mergeAxes({ extents, strides }: Axes): Axes {
  const mergedExtents: number[] = [];
  const mergedStrides: number[] = [];
  extents.forEach((extent, axis) => {
    if (extent === 1) return;
    const stride = strides[axis] as number;
    const last = mergedExtents.length - 1;
    if (last >= 0 && mergedStrides[last] === extent * stride) {
      mergedExtents[last] = (mergedExtents[last] as number) * extent;
      mergedStrides[last] = stride;
    } else {
      mergedExtents.push(extent);
      mergedStrides.push(stride);
    }
  });
  return { extents: mergedExtents, strides: mergedStrides };
}

/** Strides of the same elements with other extents; `undefined` if that takes a copy. */
function regroup(merged: Axes, extents: readonly number[]): number[] | undefined {
  const strides: number[] = new Array(extents.length).fill(0);
  let axis = merged.extents.length - 1;
  let left = axis >= 0 ? (merged.extents[axis] as number) : 1;
  let step = axis >= 0 ? (merged.strides[axis] as number) : 1;
  for (let target = extents.length - 1; target >= 0; target--) {
    const extent = extents[target] as number;
    strides[target] = step;
    if (extent === 1) continue;
    if (left === 1 && axis > 0) {
      axis--;
      left = merged.extents[axis] as number;
      step = merged.strides[axis] as number;
      strides[target] = step;
    }
    if (left % extent !== 0) return undefined;
    left /= extent;
    step *= extent;
  }
  return strides;
}

/** The same elements under other extents, as one block where the strides allow it. */
export function reshape(gather: Gather, extents: readonly number[]): Gather {
  const [block] = gather.blocks;
  if (!block || gather.blocks.length > 1 || gather.outer !== 1) return gather;
  const strides = regroup(mergeAxes(block), extents);
  return strides ? { outer: 1, blocks: [{ ...block, extents, strides }] } : gather;
}

/** The one block of a gather whose axes are `shape`; `undefined` if it is not that plain. */
export function soleBlock(gather: Gather, shape: readonly number[]): Block | undefined {
  const [block] = gather.blocks;
  if (!block || gather.blocks.length > 1 || gather.outer !== 1) return undefined;
  const fits = block.extents.length === shape.length && shape.every((n, axis) => block.extents[axis] === n);
  return fits ? block : undefined;
}

/** Elements `[start, end)` of one axis of a block. */
export function sliceBlock(block: Block, axis: number, [start, end]: readonly [number, number]): Block {
  const extents = block.extents.map((extent, at) => (at === axis ? end - start : extent));
  return { ...block, extents, offset: block.offset + start * (block.strides[axis] as number) };
}

/** Flat elements `[start, end)` of a gather without repetition. */
export function sliceFlat(gather: Gather, start: number, end: number): Gather {
  const blocks: Block[] = [];
  let at = 0;
  for (const block of gather.blocks) {
    const count = product(block.extents);
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, count);
    if (from < to) blocks.push(...sliceBlockFlat(block, from, to));
    at += count;
  }
  return { outer: 1, blocks };
}

function sliceBlockFlat(block: Block, start: number, end: number): Block[] {
  const [extent, ...inner] = block.extents;
  if (extent === undefined) return [block];
  const size = product(inner);
  const firstWhole = Math.ceil(start / size);
  const lastWhole = Math.floor(end / size);
  const part = (row: number, from: number, to: number): Block[] => {
    const offset = block.offset + row * (block.strides[0] as number);
    return sliceBlockFlat({ ...block, offset, extents: inner, strides: block.strides.slice(1) }, from, to);
  };
  if (firstWhole > lastWhole) return part(lastWhole, start - lastWhole * size, end - lastWhole * size);
  const parts: Block[] = [];
  if (start < firstWhole * size) parts.push(...part(firstWhole - 1, start - (firstWhole - 1) * size, size));
  if (firstWhole < lastWhole) parts.push(sliceBlock(block, 0, [firstWhole, lastWhole]));
  if (lastWhole * size < end) parts.push(...part(lastWhole, 0, end - lastWhole * size));
  return parts;
}
