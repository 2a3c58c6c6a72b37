import { PlanError } from "../../core/errors.ts";
import type { StoredForm, TensorInfo } from "../../core/tensor-info.ts";
import type { Expression } from "../parameter.ts";

/** The part of a checkpoint that rewriting looks at. */
export interface FormedSources {
  readonly tensors: ReadonlyMap<string, Pick<TensorInfo, "shape">>;
  readonly storedForms?: ReadonlyMap<string, StoredForm>;
}

/**
 * Rewrites an expression so that tensors stored in another form give the values that their names promise: rows of
 * heads are put back in order, and a norm that is stored plus one loses the `add1` that its readers apply.
 * @throws {PlanError} `E_STORED_FORM` where the one would have to be subtracted, which no model needs
 */
export function restoreForms(expression: Expression, sources: FormedSources): Expression {
  if (!sources.storedForms || sources.storedForms.size === 0) return expression;
  const restore = (each: Expression): Expression => restoreForms(each, sources);
  switch (expression.op) {
    case "source":
      return restoreSource(expression.name, sources);
    case "add1": {
      const { of } = expression;
      const plusOne = of.op === "source" && sources.storedForms.get(of.name)?.kind === "plus-one";
      return plusOne ? of : { ...expression, of: restore(of) };
    }
    case "concat":
    case "stack":
    case "first-if-close":
      return { ...expression, parts: expression.parts.map(restore) };
    default:
      return { ...expression, of: restore(expression.of) };
  }
}

function restoreSource(name: string, { tensors, storedForms }: FormedSources): Expression {
  const source: Expression = { op: "source", name };
  const form = storedForms?.get(name);
  if (form === undefined) return source;
  if (form.kind === "plus-one") {
    throw new PlanError("E_STORED_FORM", `${name} is stored plus one, but is read as it is`, {
      hint: "convert this architecture from safetensors instead",
    });
  }
  const shape = tensors.get(name)?.shape ?? [];
  const [rows = 0, ...rest] = shape;
  // [head, pair, half, …] as stored; [head, half, pair, …] as promised.
  const split: Expression = {
    op: "reshape",
    of: source,
    shape: [form.heads, rows / form.heads / 2, 2, ...rest],
  };
  const axes = rest.length === 0 ? [0, 2, 1] : [0, 2, 1, 3];
  return { op: "reshape", of: { op: "permute", of: split, axes }, shape };
}
