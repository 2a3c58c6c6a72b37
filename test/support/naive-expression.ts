import * as fc from "fast-check";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import type { Gather } from "../../src/plan/gather.ts";
import type { Expression } from "../../src/plan/parameter.ts";

/** Elements in row-major order, each named by a number. */
export interface Naive {
  readonly shape: readonly number[];
  readonly elements: readonly number[];
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The indices of `shape` in row-major order. */
function* indices(shape: readonly number[]): Generator<number[]> {
  for (let flat = 0; flat < count(shape); flat++) {
    let rest = flat;
    yield shape
      .toReversed()
      .map((extent) => {
        const at = rest % extent;
        rest = (rest - at) / extent;
        return at;
      })
      .reverse();
  }
}

const at = ({ shape, elements }: Naive, index: readonly number[]): number =>
  elements[index.reduce((flat, i, axis) => flat * (shape[axis] as number) + i, 0)] as number;

function build(shape: readonly number[], element: (index: readonly number[]) => number): Naive {
  return { shape, elements: [...indices(shape)].map(element) };
}

/** Evaluates an expression element by element, as its documentation says and without any cleverness. */
export function naive(expression: Expression, source: (name: string) => Naive): Naive {
  const of = (operand: Expression): Naive => naive(operand, source);
  switch (expression.op) {
    case "source":
      return source(expression.name);
    case "concat": {
      const { axis } = expression;
      const parts = expression.parts.map(of);
      const total = parts.reduce((sum, { shape }) => sum + (shape[axis] as number), 0);
      const shape = (parts[0] as Naive).shape.with(axis, total);
      return build(shape, (index) => {
        let rest = index[axis] as number;
        let part = 0;
        while (rest >= ((parts[part] as Naive).shape[axis] as number)) {
          rest -= (parts[part++] as Naive).shape[axis] as number;
        }
        return at(parts[part] as Naive, index.with(axis, rest));
      });
    }
    case "stack": {
      const parts = expression.parts.map(of);
      return {
        shape: [parts.length, ...(parts[0] as Naive).shape],
        elements: parts.flatMap((p) => p.elements),
      };
    }
    case "reshape":
      return { shape: expression.shape, elements: of(expression.of).elements };
    case "slice": {
      const { axis, start, end } = expression;
      const whole = of(expression.of);
      return build(whole.shape.with(axis, end - start), (index) => {
        return at(whole, index.with(axis, (index[axis] as number) + start));
      });
    }
    case "permute": {
      const { axes } = expression;
      const whole = of(expression.of);
      return build(
        axes.map((axis) => whole.shape[axis] as number),
        (index) =>
          at(
            whole,
            whole.shape.map((_, axis) => index[axes.indexOf(axis)] as number),
          ),
      );
    }
    case "broadcast": {
      const whole = of(expression.of);
      return build(expression.shape, (index) =>
        at(
          whole,
          index.map((i, axis) => (whole.shape[axis] === 1 ? 0 : i)),
        ),
      );
    }
    case "first-if-close":
      return of(expression.parts[0] as Expression);
    default:
      return of(expression.of);
  }
}

/** The elements that a gather names, each as its flat index in its tensor plus the tensor's first number. */
export function elementsOf(gather: Gather, firstOf: (tensor: TensorInfo) => number): number[] {
  const elements: number[] = [];
  for (let outer = 0; outer < gather.outer; outer++) {
    for (const { tensor, offset, outerStride, extents, strides } of gather.blocks) {
      for (const index of indices(extents)) {
        const inner = index.reduce((sum, i, axis) => sum + i * (strides[axis] as number), 0);
        elements.push(firstOf(tensor) + offset + outer * outerStride + inner);
      }
    }
  }
  return elements;
}

/** An expression over a fresh set of sources, with the shape that it should have. */
export interface Sample {
  readonly expression: Expression;
  readonly sources: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

type Grown = { readonly expression: Expression; readonly shape: readonly number[] };

/** Expressions of up to `steps` operations over tensors of rank 1 to 3 with extents up to 4. */
export function samples(steps = 4): fc.Arbitrary<Sample> {
  return fc
    .record({
      shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
      choices: fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: steps }),
    })
    .map(({ shape, choices }) => {
      const sources: { name: string; shape: readonly number[] }[] = [];
      const fresh = (extents: readonly number[]): Expression => {
        const name = `t${sources.length}`;
        sources.push({ name, shape: extents });
        return { op: "source", name };
      };
      const start: Grown = { expression: fresh(shape), shape };
      const { expression } = choices.reduce((grown, choice) => grow(grown, choice, fresh), start);
      return { expression, sources };
    });
}

/** Puts one more operation around an expression; `choice` decides which and how. */
function grow(
  { expression, shape }: Grown,
  choice: number,
  fresh: (shape: readonly number[]) => Expression,
): Grown {
  const axis = Math.floor(choice / 7) % shape.length;
  const extent = shape[axis] as number;
  const amount = 1 + (Math.floor(choice / 49) % 4);
  switch (choice % 7) {
    case 0:
    case 1: {
      const other = fresh(shape.with(axis, amount));
      const parts = choice % 2 === 0 ? [expression, other] : [other, expression];
      return { expression: { op: "concat", axis, parts }, shape: shape.with(axis, extent + amount) };
    }
    case 2:
      return { expression: { op: "stack", parts: [expression, fresh(shape)] }, shape: [2, ...shape] };
    case 3: {
      const split = extent % 2 === 0 ? [2, extent / 2] : [extent, 1];
      const next = [...shape.slice(0, axis), ...split, ...shape.slice(axis + 1)];
      return { expression: { op: "reshape", of: expression, shape: next }, shape: next };
    }
    case 4: {
      const start = Math.min(extent - 1, amount - 1);
      const end = Math.min(extent, start + 2);
      return {
        expression: { op: "slice", of: expression, axis, start, end },
        shape: shape.with(axis, end - start),
      };
    }
    case 5: {
      const axes = shape.map((_, at) => (at + axis + 1) % shape.length);
      return {
        expression: { op: "permute", of: expression, axes },
        shape: axes.map((from) => shape[from] as number),
      };
    }
    default: {
      const next = shape.map((n) => (n === 1 ? amount : n));
      return { expression: { op: "broadcast", of: expression, shape: next }, shape: next };
    }
  }
}
