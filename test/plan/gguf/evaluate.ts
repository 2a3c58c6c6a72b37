import type { Expression } from "../../../src/plan/parameter.ts";

/** A float32 tensor, row-major. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const count = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** The value of an expression, computed plainly: what an engine's result is compared with. */
export function evaluate(expression: Expression, source: (name: string) => Values): Values {
  const of = (operand: Expression): Values => evaluate(operand, source);
  switch (expression.op) {
    case "source":
      return source(expression.name);
    case "reshape":
      return { shape: expression.shape, data: of(expression.of).data };
    case "permute":
      return permute(of(expression.of), expression.axes);
    case "slice": {
      const operand = of(expression.of);
      const shape = operand.shape.map((extent, axis) =>
        axis === expression.axis ? expression.end - expression.start : extent,
      );
      return gather(operand, shape, (at) =>
        at.map((i, axis) => (axis === expression.axis ? i + expression.start : i)),
      );
    }
    case "stack": {
      const parts = expression.parts.map(of);
      const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
      let offset = 0;
      for (const part of parts) {
        data.set(part.data, offset);
        offset += part.data.length;
      }
      return { shape: [parts.length, ...(parts[0]?.shape ?? [])], data };
    }
    case "add1": {
      const operand = of(expression.of);
      return { shape: operand.shape, data: operand.data.map((value) => value + 1) };
    }
    default:
      throw new Error(`no GGUF plan needs ${expression.op}`);
  }
}

function permute(operand: Values, axes: readonly number[]): Values {
  const shape = axes.map((axis) => operand.shape[axis] ?? 0);
  return gather(operand, shape, (at) => operand.shape.map((_, axis) => at[axes.indexOf(axis)] ?? 0));
}

function gather(
  operand: Values,
  shape: readonly number[],
  from: (at: readonly number[]) => readonly number[],
): Values {
  const data = new Float32Array(count(shape));
  const at = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    const flat = from(at).reduce((sum, index, axis) => sum * (operand.shape[axis] ?? 0) + index, 0);
    data[i] = operand.data[flat] ?? Number.NaN;
    for (let axis = at.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (shape[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
  return { shape, data };
}
