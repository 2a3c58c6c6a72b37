import { PlanError } from "../core/errors.ts";
import type { Expression } from "./parameter.ts";
import { source, sourceNames } from "./table.ts";

/** The shape of a checkpoint's tensor; undefined if it lacks the tensor. */
export type ShapeOf = (name: string) => readonly number[] | undefined;

/** What a scale must become. */
export interface WantedScale {
  /** The parameter, for messages. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly shapeOf: ShapeOf;
}

/**
 * A weight's scale [row blocks, column blocks] from whatever form the checkpoint has: the whole grid; one number;
 * or n numbers along the rows, each for an equal share of them (also where the fused parts have unequal rows).
 * Tensors that are missing are left to the check for missing tensors.
 * @throws {PlanError} `E_SCALE_SHAPE` for any other form
 */
export function looseScale(value: Expression, wanted: WantedScale): Expression {
  const shapes = sourceNames(value).map(wanted.shapeOf);
  if (shapes.some((shape) => shape === undefined)) return value;
  const parts = sourceNames(value).map((name, k) => asVector(name, shapes[k] ?? []));
  const [first] = parts;
  if (first === undefined) return value;
  const [rows = 1, columns = 1] = wanted.shape;
  const joined = parts.length === 1 ? first.value : concat(parts.map((part) => part.value));
  const length = parts.reduce((sum, part) => sum + (part.shape[0] ?? 1), 0);
  if (parts.every((part) => part.shape.length === 2 && part.shape[1] === columns) && length === rows) {
    return joined;
  }
  const vector = parts.every((part) => part.shape.length === 1);
  if (vector && rows % length === 0) return spread(joined, [length, rows / length, columns], wanted.shape);
  throw misfit(wanted, shapes);
}

/**
 * An activation scale [column blocks]: fused layers share their input, so the scales of the parts must be close
 * to one another, and the first is taken. One number fills the whole, n numbers are repeated evenly.
 * @throws {PlanError} `E_SCALE_SHAPE` for any other form
 */
export function activationScale(weight: Expression, wanted: WantedScale): Expression {
  const names = sourceNames(weight).map((name) => name.replace(/weight$/, "activation_scale"));
  const shapes = names.map(wanted.shapeOf);
  const parts = names.map((name, k) => asVector(name, shapes[k] ?? [1]));
  const [first] = parts;
  if (first === undefined) throw misfit(wanted, shapes);
  const value: Expression =
    parts.length === 1 ? first.value : { op: "first-if-close", parts: parts.map((part) => part.value) };
  const [blocks = 1] = wanted.shape;
  const length = first.shape[0] ?? 1;
  const alike = parts.every((part) => part.shape.length === 1 && part.shape[0] === length);
  if (!alike || blocks % length !== 0) throw misfit(wanted, shapes);
  return length === blocks ? value : spread(value, [length, blocks / length], wanted.shape);
}

interface Part {
  readonly value: Expression;
  readonly shape: readonly number[];
}

/** A single number counts as a vector of one. */
function asVector(name: string, shape: readonly number[]): Part {
  if (shape.length > 0) return { value: source(name), shape };
  return { value: { op: "reshape", of: source(name), shape: [1] }, shape: [1] };
}

const concat = (parts: readonly Expression[]): Expression => ({ op: "concat", axis: 0, parts });

/** Repeats each of the first axis' values over the other axes, then reshapes. */
function spread(value: Expression, over: readonly number[], shape: readonly number[]): Expression {
  const column: Expression = {
    op: "reshape",
    of: value,
    shape: over.map((extent, k) => (k === 0 ? extent : 1)),
  };
  return { op: "reshape", of: { op: "broadcast", of: column, shape: over }, shape };
}

function misfit({ name, shape }: WantedScale, shapes: readonly (readonly number[] | undefined)[]): PlanError {
  const found = shapes.map((one) => `[${one?.join(", ") ?? "missing"}]`).join(", ");
  return new PlanError("E_SCALE_SHAPE", `${name}: scales of shape ${found} do not fit [${shape.join(", ")}]`);
}
