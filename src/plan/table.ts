import type { DType } from "../core/dtype.ts";
import type { Expression, Extent, Parameter, ParameterKind, ShardStrategy } from "./parameter.ts";

/** What a parameter may say besides name and shape. */
export interface More {
  /** Another source than the tensor of the same name. */
  readonly from?: string | Expression;
  readonly shard?: ShardStrategy;
  readonly dtype?: DType;
  readonly noQuant?: boolean;
  readonly float32Output?: boolean;
}

type Shape = readonly Extent[];

/** The tensor of that name. */
export const source = (name: string): Expression => ({ op: "source", name });

function parameter(kind: ParameterKind, name: string, shape: Shape, more: More): Parameter {
  const { from, ...rest } = more;
  const value = from === undefined ? source(name) : typeof from === "string" ? source(from) : from;
  return { name, kind, shape, value, ...rest };
}

/** Weight of a linear layer: [outputs, inputs]. */
export const linear = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("linear", name, shape, more);
/** Weight of an embedding: [entries, width]. */
export const embedding = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("embedding", name, shape, more);
/** Stacked weights of experts: [experts, outputs, inputs]. */
export const experts = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("experts", name, shape, more);
/** Bias of a linear layer: [outputs]. */
export const bias = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("bias", name, shape, more);
/** Weight or bias of a normalization: [width]. */
export const norm = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("norm", name, shape, more);
/** A parameter that no scheme quantizes, of any shape. */
export const raw = (name: string, shape: Shape, more: More = {}): Parameter =>
  parameter("raw", name, shape, more);

/** Weight and bias of a layer norm, called `<module>.weight` and `<module>.bias`. */
export const layerNorm = (module: string, width: number, more: More = {}): readonly Parameter[] => [
  norm(`${module}.weight`, [width], more),
  norm(`${module}.bias`, [width], more),
];

/** The parameters if the condition holds, else none. */
export const when = (condition: boolean, ...parameters: readonly Parameter[]): readonly Parameter[] =>
  condition ? parameters : [];

/** The parameters of layers 0, 1, … in order. */
export function eachLayer(
  count: number,
  layer: (index: number) => readonly Parameter[],
): readonly Parameter[] {
  return Array.from({ length: count }, (_, index) => layer(index)).flat();
}

/**
 * How tensor parallelism cuts a parameter: along `dim`, in segments of these lengths per worker.
 * Without segments the whole extent is one segment.
 */
export function cut(name: string, dim: number, segments?: readonly number[]): ShardStrategy {
  return segments === undefined ? { name, dim } : { name, dim, segments };
}

/** Joins tensors along axis 0: `*` in the pattern stands for each of the words in turn. */
export function joined(pattern: string, words: readonly string[]): Expression {
  return { op: "concat", axis: 0, parts: words.map((word) => source(pattern.replace("*", word))) };
}

/**
 * Stacks one tensor of every expert along a new axis 0; `#` in the pattern is the expert's number.
 * With several words, `*` in the pattern stands for each word and the words' tensors are joined along axis 0 first.
 */
export function stacked(pattern: string, count: number, words: readonly string[] = []): Expression {
  const parts = Array.from({ length: count }, (_, expert) => {
    const own = pattern.replace("#", String(expert));
    return words.length === 0 ? source(own) : joined(own, words);
  });
  return { op: "stack", parts };
}

/** The tensor plus one, added in the source's dtype or in float32. */
export const plusOne = (name: string, where: "source" | "float32"): Expression => ({
  op: "add1",
  of: source(name),
  in: where,
});

/** The same parameters, reading tensors of other names. */
export function renameSources(
  parameters: readonly Parameter[],
  rename: (name: string) => string,
): readonly Parameter[] {
  return parameters.map((one) => ({ ...one, value: mapSources(one.value, (name) => source(rename(name))) }));
}

/** An expression in which every source is replaced by another expression. */
export function mapSources(expression: Expression, replace: (name: string) => Expression): Expression {
  if (expression.op === "source") return replace(expression.name);
  if ("parts" in expression) {
    return { ...expression, parts: expression.parts.map((part) => mapSources(part, replace)) };
  }
  return { ...expression, of: mapSources(expression.of, replace) };
}

/** Names of the tensors that an expression reads, in order. */
export function sourceNames(expression: Expression): readonly string[] {
  if (expression.op === "source") return [expression.name];
  if ("parts" in expression) return expression.parts.flatMap(sourceNames);
  return sourceNames(expression.of);
}
