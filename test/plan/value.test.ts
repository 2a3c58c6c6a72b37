import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import { contiguousStrides } from "../../src/plan/gather.ts";
import type { Expression } from "../../src/plan/parameter.ts";
import { cutAxis, evaluate, ShapeProblem, type Value } from "../../src/plan/value.ts";
import { elementsOf, type Naive, naive, samples } from "../support/naive-expression.ts";

const FIRST = 10_000;

function tensor(name: string, shape: readonly number[], strides?: readonly number[]): TensorInfo {
  const nbytes = 4 * shape.reduce((a, b) => a * b, 1);
  return { name, dtype: "float32", shape, file: 0, byteOffset: 0, nbytes, ...(strides && { strides }) };
}

/** Tensors t0, t1, … whose elements are numbered so that every one of all tensors differs. */
function world(shapes: readonly (readonly number[])[]) {
  const tensors = new Map(shapes.map((shape, at) => [`t${at}`, tensor(`t${at}`, shape)]));
  const first = ({ name }: TensorInfo): number => FIRST * Number(name.slice(1));
  const source = (name: string): Naive => {
    const info = tensors.get(name) as TensorInfo;
    const count = info.shape.reduce((a, b) => a * b, 1);
    return { shape: info.shape, elements: Array.from({ length: count }, (_, at) => first(info) + at) };
  };
  const plan = (expression: Expression): Value =>
    evaluate(expression, (name) => tensors.get(name) as TensorInfo);
  return { plan, source, first };
}

const source = (at: number): Expression => ({ op: "source", name: `t${at}` });

describe("an expression's value", () => {
  it("names the elements that a naive evaluation gives, in order, or is refused", () => {
    let planned = 0;
    fc.assert(
      fc.property(samples(), ({ expression, sources }) => {
        const { plan, source: resolve, first } = world(sources.map(({ shape }) => shape));
        let value: Value;
        try {
          value = plan(expression);
        } catch (error) {
          expect(error).toBeInstanceOf(ShapeProblem);
          return;
        }
        planned++;
        const expected = naive(expression, resolve);
        expect(value.shape).toEqual(expected.shape);
        expect(elementsOf(value.gather, first)).toEqual(expected.elements);
      }),
      { numRuns: 2000, seed: 20 },
    );
    expect(planned).toBeGreaterThan(1000);
  });

  it("cuts segments for a worker as slices behind one another would", () => {
    const shapes = fc.array(fc.integer({ min: 2, max: 6 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(shapes, fc.nat(), fc.nat(), (shape, pickAxis, pickCut) => {
        const axis = pickAxis % shape.length;
        const extent = shape[axis] as number;
        const cut = 1 + (pickCut % (extent - 1));
        const ranges = [
          [0, 1],
          [cut, extent],
        ] as const;
        const { plan, source: resolve, first } = world([shape]);
        const slices = ranges.map(
          ([start, end]): Expression => ({ op: "slice", of: source(0), axis, start, end }),
        );
        const expected = naive({ op: "concat", axis, parts: slices }, resolve);
        const value = cutAxis(plan(source(0)), axis, ranges);
        expect(value.shape).toEqual(expected.shape);
        expect(elementsOf(value.gather, first)).toEqual(expected.elements);
      }),
      { numRuns: 300, seed: 21 },
    );
  });

  it("reads a transposed tensor of a .bin file where its strides say", () => {
    const info = tensor("t0", [2, 3], [1, 2]);
    const value = evaluate(source(0), () => info);
    expect(elementsOf(value.gather, () => 0)).toEqual([0, 2, 4, 1, 3, 5]);
  });

  it("joins rows without a copy: one block a source, repeated for every row", () => {
    const { plan } = world([
      [4, 2],
      [4, 3],
    ]);
    const { gather } = plan({ op: "concat", axis: 1, parts: [source(0), source(1)] });
    expect(gather.outer).toBe(4);
    expect(gather.blocks.map(({ extents, outerStride }) => [extents, outerStride])).toEqual([
      [[2], 2],
      [[3], 3],
    ]);
  });

  it.each<[string, Expression, RegExp]>([
    [
      "a join of shapes that differ",
      { op: "concat", axis: 0, parts: [source(0), source(1)] },
      /cannot join \[4, 2\], \[4, 3\]/,
    ],
    [
      "a join along an axis that is not there",
      { op: "concat", axis: 2, parts: [source(0)] },
      /cannot join along axis 2/,
    ],
    [
      "a stack of shapes that differ",
      { op: "stack", parts: [source(0), source(1)] },
      /cannot stack \[4, 2\] and \[4, 3\]/,
    ],
    ["an empty stack", { op: "stack", parts: [] }, /nothing to stack/],
    [
      "a reshape to another count",
      { op: "reshape", of: source(0), shape: [3, 3] },
      /does not have the elements of \[3, 3\]/,
    ],
    [
      "a slice beyond the end",
      { op: "slice", of: source(0), axis: 1, start: 1, end: 3 },
      /has no \[1, 3\) along axis 1/,
    ],
    [
      "a repeat of an extent that is not 1",
      { op: "broadcast", of: source(0), shape: [8, 2] },
      /cannot repeat \[4, 2\] to \[8, 2\]/,
    ],
    [
      "two transforms",
      { op: "exp-neg-exp", of: { op: "add1", of: source(0), in: "source" } },
      /two transforms/,
    ],
    [
      "a transform inside a join",
      { op: "stack", parts: [{ op: "add1", of: source(0), in: "source" }] },
      /a transform inside a join/,
    ],
    [
      "sources to compare that differ in shape",
      { op: "first-if-close", parts: [source(0), source(1)] },
      /expected \[4, 2\]/,
    ],
  ])("refuses %s", (_, expression, message) => {
    const { plan } = world([
      [4, 2],
      [4, 3],
    ]);
    expect(() => plan(expression)).toThrow(ShapeProblem);
    expect(() => plan(expression)).toThrow(message);
  });

  it("notes which sources must hold the same numbers", () => {
    const { plan } = world([[1], [1], [1]]);
    const { mustBeClose } = plan({ op: "first-if-close", parts: [source(0), source(1), source(2)] });
    expect(mustBeClose.map(([taken, other]) => [taken.name, other.name])).toEqual([
      ["t0", "t1"],
      ["t0", "t2"],
    ]);
  });

  it("counts strides from the last axis", () => expect(contiguousStrides([2, 3, 4])).toEqual([12, 4, 1]));
});
