import { listProblems, PlanError } from "../core/errors.ts";
import type { Architecture } from "./architecture.ts";
import type { Parameter, ShardStrategy } from "./parameter.ts";
import type { BoundParameter } from "./pieces.ts";
import type { OutputTensor } from "./plan.ts";
import type { Scheme } from "./scheme.ts";
import { cutAxis, ShapeProblem, type Value } from "./value.ts";

/** Lengths per worker of the segments along the cut axis. */
function segmentsOf({ shape }: Parameter, { dim, segments }: ShardStrategy): readonly number[] {
  return segments ?? [shape[dim] as number];
}

/** The shape of a whole parameter, of which `shape` is one worker's part. */
export function wholeShape(parameter: Parameter, workers: number): Parameter["shape"] {
  const { shape, shard } = parameter;
  if (!shard || workers === 1) return shape;
  return shape.map((extent, axis) => {
    return axis === shard.dim && typeof extent === "number" ? extent * workers : extent;
  });
}

/** One worker's part: of every segment its share, one behind the other (formats.md §7). */
function partOf(value: Value, parameter: Parameter, { worker, workers }: Share): Value {
  const strategy = parameter.shard as ShardStrategy;
  let start = 0;
  const ranges = segmentsOf(parameter, strategy).map((length) => {
    const from = start + worker * length;
    start += workers * length;
    return [from, from + length] as const;
  });
  return cutAxis(value, strategy.dim, ranges);
}

interface Share {
  readonly worker: number;
  readonly workers: number;
}

/** The workers that weights are cut for. */
export interface Workers {
  readonly count: number;
  /** Make only this worker's part; default: all parts. */
  readonly rank?: number;
}

/**
 * Cuts the pieces of one parameter for every worker: `<piece>_shard-0`, `<piece>_shard-1`, …
 * Scales of whole tensors are shared and stay whole, and so does every parameter without a strategy: each
 * worker loads those, so they are in every rank's part.
 * @throws {PlanError} where the strategy does not fit the tensor
 */
export function shardPieces(
  bound: BoundParameter,
  { count, rank }: Workers,
  piecesOf: (bound: BoundParameter) => readonly OutputTensor[],
): readonly OutputTensor[] {
  const whole = piecesOf(bound);
  if (!bound.parameter.shard || count === 1 || whole.some((piece) => losesStrategy(piece))) return whole;
  const made = rank === undefined ? Array.from({ length: count }, (_, worker) => worker) : [rank];
  const parts = made.map((worker) => ({
    worker,
    pieces: piecesOf(cutBound(bound, { worker, workers: count })),
  }));
  return whole.flatMap((piece, index) => {
    if (piece.encoding.kind === "fp8-scale" || piece.encoding.kind === "constant") return [piece];
    return parts.map(({ worker, pieces }) => renamed(pieces[index] as OutputTensor, worker, piece));
  });
}

const losesStrategy = (piece: OutputTensor): boolean => piece.encoding.kind.startsWith("ft-");

function renamed(part: OutputTensor, worker: number, whole: OutputTensor): OutputTensor {
  const name = `${part.name}_shard-${worker}`;
  // The weights are quantized whole and then cut: only a scale needs what other workers get.
  if (part.encoding.kind !== "fp8-values" || !part.encoding.scaled) return { ...part, name };
  return { ...part, name, encoding: { ...part.encoding, whole: whole.value } };
}

function cutBound(bound: BoundParameter, share: Share): BoundParameter {
  try {
    return { ...bound, value: partOf(bound.value, bound.parameter, share) };
  } catch (error) {
    if (!(error instanceof ShapeProblem)) throw error;
    throw new PlanError("E_PRESHARD", `${bound.parameter.name}: cannot be cut: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * Refuses what cannot be cut evenly, before anything is evaluated.
 * @throws {PlanError} `E_PRESHARD`, listing the parameters
 */
export function checkPresharding(parameters: readonly Parameter[], scheme: Scheme, workers: number): void {
  if (workers === 1) return;
  if (scheme.kind === "group-quant" && scheme.linearLayout === "KN") {
    throw refusal(
      `${scheme.name} stores weights transposed, and those cannot be cut`,
      "use the scheme whose name ends in _1",
    );
  }
  if (
    scheme.kind === "ft-quant" ||
    scheme.kind === "awq" ||
    (scheme.kind === "block-scale-quant" && scheme.staticActivation)
  ) {
    throw refusal(
      `${scheme.name} does not support pre-sharding`,
      "leave --preshard out, or use a group scheme such as q4f16_1",
    );
  }
  const problems = [
    ...parameters.flatMap((parameter) => strategyProblems(parameter, workers)),
    ...rankProblems(parameters),
  ];
  if (problems.length > 0) {
    throw refusal(
      `pre-sharding for ${workers} workers does not fit this model:\n${listProblems(problems)}`,
      "leave --preshard out, or choose a number of workers that divides heads and widths",
    );
  }
  if (scheme.kind === "group-quant") checkGroups(parameters, scheme.group, workers);
}

function refusal(message: string, hint: string): PlanError {
  return new PlanError("E_PRESHARD", message, { hint });
}

function strategyProblems({ name, shape, shard }: Parameter, workers: number): readonly string[] {
  if (!shard) return [];
  const extent = shape[shard.dim];
  if (typeof extent !== "number") return [`${name}: has no dimension ${shard.dim}`];
  const total = shard.segments?.reduce((sum, length) => sum + length, 0) ?? extent;
  if (total === extent) return [];
  return [`${name}: segments of ${total} in all, expected ${extent} a worker of ${workers}`];
}

/** One strategy is one compiled function, so everything it cuts must have the same rank. */
function rankProblems(parameters: readonly Parameter[]): readonly string[] {
  const ranks = new Map<string, Parameter>();
  return parameters.flatMap((parameter) => {
    const { name, shape, shard } = parameter;
    if (!shard) return [];
    const first = ranks.get(shard.name) ?? parameter;
    ranks.set(shard.name, first);
    if (first.shape.length === shape.length) return [];
    return [`${name}: shares the strategy ${shard.name} with ${first.name}, which has another rank`];
  });
}

/** Groups must not be shared between workers (errors.md F1). */
function checkGroups(parameters: readonly Parameter[], group: number, workers: number): void {
  const problems = parameters.flatMap(({ name, kind, shape, shard, noQuant }) => {
    const width = shape.at(-1);
    if ((kind !== "linear" && kind !== "experts") || noQuant || typeof width !== "number") return [];
    const alongInputs = shard?.dim === shape.length - 1;
    const even = Math.floor((width * workers) / group) % workers === 0;
    if (even && (!alongInputs || width % group === 0)) return [];
    return [`${name}: ${width} inputs a worker are not whole groups of ${group}`];
  });
  if (problems.length === 0) return;
  throw refusal(
    `groups cannot be distributed evenly over ${workers} workers:\n${listProblems(problems)}`,
    "use fewer workers, or q0f16",
  );
}

/** What the user should know of a model that is cut for several workers, a sentence each. */
export function shardingNotices(
  { key, shardingNotice }: Architecture,
  bound: readonly BoundParameter[],
  workers: number,
): readonly string[] {
  if (workers === 1) return [];
  const whole = bound.every(({ parameter }) => parameter.shard === undefined);
  return [
    ...(whole ? [`nothing of ${key} is cut for several workers: each loads the whole model`] : []),
    ...(shardingNotice === undefined ? [] : [shardingNotice]),
  ];
}
