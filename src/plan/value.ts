import type { TensorInfo } from "../core/tensor-info.ts";
import {
  type Gather,
  gatherOf,
  inSequence,
  interleave,
  product,
  reshape,
  sliceBlock,
  sliceFlat,
  soleBlock,
} from "./gather.ts";
import type { Expression } from "./parameter.ts";

/** Arithmetic between the source's elements and the cast to the parameter's dtype. */
export type Transform =
  | { readonly kind: "none" }
  | { readonly kind: "add1"; readonly in: "source" | "float32" }
  | { readonly kind: "divide-pow2"; readonly power: number }
  | { readonly kind: "exp-neg-exp" };

/** An expression after shape inference: which source elements, in which order, and what is done to each. */
export interface Value {
  readonly shape: readonly number[];
  readonly gather: Gather;
  readonly transform: Transform;
  /** Sources that must hold (nearly) the same numbers as the one taken; checked before execution. */
  readonly mustBeClose: readonly (readonly [taken: TensorInfo, other: TensorInfo])[];
}

/** Why an expression has no value; the caller says for which parameter. */
export class ShapeProblem extends Error {}

const NONE: Transform = { kind: "none" };

const describe = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/**
 * Infers shape and element order of an expression. Reads no weight.
 * @throws {ShapeProblem} where the operands do not fit
 */
export function evaluate(expression: Expression, resolve: (name: string) => TensorInfo): Value {
  const of = (operand: Expression): Value => evaluate(operand, resolve);
  switch (expression.op) {
    case "source": {
      const tensor = resolve(expression.name);
      return { shape: tensor.shape, gather: gatherOf(tensor), transform: NONE, mustBeClose: [] };
    }
    case "concat":
      return concatenate(expression.parts.map(of), expression.axis);
    case "stack":
      return stack(expression.parts.map(of));
    case "reshape":
      return reshapeValue(of(expression.of), expression.shape);
    case "slice":
      return slice(of(expression.of), expression.axis, [expression.start, expression.end]);
    case "permute":
      return permute(of(expression.of), expression.axes);
    case "broadcast":
      return broadcast(of(expression.of), expression.shape);
    case "first-if-close":
      return firstIfClose(expression.parts.map(of));
    case "add1":
      return transformed(of(expression.of), { kind: "add1", in: expression.in });
    case "divide-pow2":
      return transformed(of(expression.of), { kind: "divide-pow2", power: expression.power });
    case "exp-neg-exp":
      return transformed(of(expression.of), { kind: "exp-neg-exp" });
  }
}

function transformed(value: Value, transform: Transform): Value {
  if (value.transform.kind !== "none") throw new ShapeProblem("two transforms on one value");
  return { ...value, transform };
}

/** The transform that all parts share. */
function common(parts: readonly Value[]): Pick<Value, "transform" | "mustBeClose"> {
  if (parts.some((part) => part.transform.kind !== "none"))
    throw new ShapeProblem("a transform inside a join");
  return { transform: NONE, mustBeClose: parts.flatMap((part) => part.mustBeClose) };
}

function concatenate(parts: readonly Value[], axis: number): Value {
  const shapes = parts.map((part) => part.shape);
  const [first] = shapes;
  if (!first || axis >= first.length) throw new ShapeProblem(`cannot join along axis ${axis}`);
  const fits = shapes.every(
    (shape) => shape.length === first.length && shape.every((n, at) => at === axis || n === first[at]),
  );
  if (!fits) throw new ShapeProblem(`cannot join ${shapes.map(describe).join(", ")} along axis ${axis}`);
  const total = shapes.reduce((sum, shape) => sum + (shape[axis] as number), 0);
  const shape = first.map((extent, at) => (at === axis ? total : extent));
  const outer = product(first.slice(0, axis));
  const gathers = parts.map((part) => part.gather);
  const gather = outer === 1 ? inSequence(gathers) : interleave(gathers, outer);
  if (!gather) throw new ShapeProblem(`cannot join ${shapes.map(describe).join(", ")} along axis ${axis}`);
  return { shape, gather, ...common(parts) };
}

function stack(parts: readonly Value[]): Value {
  const [first] = parts;
  if (!first) throw new ShapeProblem("nothing to stack");
  const odd = parts.find((part) => describe(part.shape) !== describe(first.shape));
  if (odd) throw new ShapeProblem(`cannot stack ${describe(first.shape)} and ${describe(odd.shape)}`);
  return {
    shape: [parts.length, ...first.shape],
    gather: inSequence(parts.map((part) => part.gather)),
    ...common(parts),
  };
}

function reshapeValue(value: Value, shape: readonly number[]): Value {
  if (product(shape) !== product(value.shape)) {
    throw new ShapeProblem(`${describe(value.shape)} does not have the elements of ${describe(shape)}`);
  }
  return { ...value, shape, gather: reshape(value.gather, shape) };
}

function slice(value: Value, axis: number, range: readonly [number, number]): Value {
  const extent = value.shape[axis];
  if (extent === undefined || range[1] > extent) {
    throw new ShapeProblem(`${describe(value.shape)} has no [${range[0]}, ${range[1]}) along axis ${axis}`);
  }
  return cutAxis(value, axis, [range]);
}

/**
 * Keeps some ranges of one axis, one behind the other.
 * @throws {ShapeProblem} where the element order is not plain enough
 */
export function cutAxis(value: Value, axis: number, ranges: Ranges): Value {
  const kept = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  const shape = value.shape.map((extent, at) => (at === axis ? kept : extent));
  const gather =
    cutSoleBlock(value, axis, ranges) ?? cutEachBlock(value, axis, ranges) ?? cutFlat(value, axis, ranges);
  return { ...value, shape, gather };
}

type Ranges = readonly (readonly [number, number])[];

function cutSoleBlock(value: Value, axis: number, ranges: Ranges): Gather | undefined {
  const block = soleBlock(value.gather, value.shape);
  if (!block) return undefined;
  const parts = ranges.map((range) => ({ outer: 1, blocks: [sliceBlock(block, axis, range)] }));
  const outer = product(value.shape.slice(0, axis));
  if (outer === 1) return inSequence(parts);
  return parts.length === 1 ? parts[0] : interleave(parts, outer);
}

/** Where every block ends with the axes from the cut one on (a stack of matrices), each is cut by itself. */
function cutEachBlock({ gather, shape }: Value, axis: number, ranges: Ranges): Gather | undefined {
  const behind = shape.slice(axis);
  if (gather.outer !== 1) return undefined;
  const blocks = gather.blocks.map((block) => {
    const lead = block.extents.length - behind.length;
    const fits = lead >= 0 && behind.every((extent, at) => block.extents[lead + at] === extent);
    if (!fits || (ranges.length > 1 && product(block.extents.slice(0, lead)) !== 1)) return undefined;
    return ranges.map((range) => sliceBlock(block, lead, range));
  });
  return blocks.every((cut) => cut !== undefined) ? { outer: 1, blocks: blocks.flat() } : undefined;
}

function cutFlat(value: Value, axis: number, ranges: Ranges): Gather {
  if (value.gather.outer !== 1) throw new ShapeProblem("cannot cut an interleaved value");
  const inner = product(value.shape.slice(axis + 1));
  const extent = value.shape[axis] as number;
  const outer = product(value.shape.slice(0, axis));
  const parts: Gather[] = [];
  for (let row = 0; row < outer; row++) {
    for (const [start, end] of ranges) {
      parts.push(sliceFlat(value.gather, (row * extent + start) * inner, (row * extent + end) * inner));
    }
  }
  return inSequence(parts);
}

function permute(value: Value, axes: readonly number[]): Value {
  const block = soleBlock(value.gather, value.shape);
  if (!block || axes.length !== value.shape.length) {
    throw new ShapeProblem(`cannot permute ${describe(value.shape)}`);
  }
  const shape = axes.map((axis) => value.shape[axis] as number);
  const strides = axes.map((axis) => block.strides[axis] as number);
  return { ...value, shape, gather: { outer: 1, blocks: [{ ...block, extents: shape, strides }] } };
}

function broadcast(value: Value, shape: readonly number[]): Value {
  const block = soleBlock(value.gather, value.shape);
  const fits =
    shape.length === value.shape.length &&
    value.shape.every((extent, at) => extent === 1 || extent === shape[at]);
  if (!block || !fits) throw new ShapeProblem(`cannot repeat ${describe(value.shape)} to ${describe(shape)}`);
  const strides = block.strides.map((stride, at) => (value.shape[at] === 1 ? 0 : stride));
  return { ...value, shape, gather: { outer: 1, blocks: [{ ...block, extents: shape, strides }] } };
}

function firstIfClose(parts: readonly Value[]): Value {
  const [first, ...others] = parts;
  if (!first) throw new ShapeProblem("nothing to compare");
  const tensorOf = (value: Value): TensorInfo => {
    const [block] = value.gather.blocks;
    if (!block || value.gather.blocks.length > 1) throw new ShapeProblem("only single tensors are compared");
    return block.tensor;
  };
  const taken = tensorOf(first);
  const pairs = others.map((other) => [taken, tensorOf(other)] as const);
  const odd = others.find((other) => describe(other.shape) !== describe(first.shape));
  if (odd) throw new ShapeProblem(`expected ${describe(first.shape)}, found ${describe(odd.shape)}`);
  return { ...first, mustBeClose: [...first.mustBeClose, ...pairs] };
}
