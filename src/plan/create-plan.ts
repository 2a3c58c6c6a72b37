import { elementCount } from "../core/dtype.ts";
import { listProblems, PlanError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { Checkpoint, TensorInfo } from "../core/tensor-info.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";
import { emissionOrder, metadataOf } from "./emission.ts";
import { restoreForms } from "./gguf/stored-forms.ts";
import { explainMissing } from "./missing-tensors.ts";
import type { Expression, Parameter } from "./parameter.ts";
import { type BoundParameter, piecesOf } from "./pieces.ts";
import type { OutputTensor, Plan } from "./plan.ts";
import { checkPresharding, shardingNotices, shardPieces, wholeShape } from "./presharding.ts";
import type { Scheme } from "./scheme.ts";
import {
  dtypeProblem,
  missingSources,
  refuseForeignQuantization,
  refuseUnusedScales,
  shapeFits,
  shapeProblem,
  unusedNames,
} from "./source-checks.ts";
import { requireScheme, sourceParameters } from "./source-parameters.ts";
import { sourceNames } from "./table.ts";
import { upstreamNotices } from "./upstream-notices.ts";
import { evaluate, ShapeProblem } from "./value.ts";

export interface PlanInput {
  readonly architecture: Architecture;
  /** config.json as parsed. */
  readonly config: JsonObject;
  readonly checkpoint: Checkpoint;
  readonly scheme: Scheme;
  /** Compute capability that q4f16_ft is laid out for; default 80. */
  readonly ftArch?: number;
  /** Number of tensor-parallel workers to cut the weights for; default 1. */
  readonly preshard?: number;
  /** Make only this worker's part, counted from 0; default: the parts of all workers. */
  readonly rank?: number;
}

interface Mapped {
  readonly parameter: Parameter;
  readonly sources: readonly string[];
}

/**
 * Decides what every output tensor is made of, in output order, from config and tensor headers alone.
 *
 * @throws {PlanError} for every naming, shape, dtype and support problem, all of one kind together
 */
export async function createPlan(input: PlanInput): Promise<Plan> {
  const { architecture, checkpoint, scheme } = input;
  const workers = input.preshard ?? 1;
  requireScheme(architecture, scheme);
  const derived = withWorkers(architecture.derive(input.config), workers);
  refuseForeignQuantization(input.config, scheme, derived.fields.has("weight_block_size"));
  const { format, tensors: stored } = checkpoint;
  const { parameters, notices } = sourceParameters({
    architecture,
    derived,
    scheme,
    format,
    tensors: stored,
  });
  checkPresharding(parameters, scheme, workers);
  const mapped = parameters.map((parameter) => ({ parameter, sources: sourceNames(parameter.value) }));
  await refuseMissing(mapped, input, derived);
  const bound = bindAll(mapped, input, workers);
  const emitted = emissionOrder(bound, checkpoint);
  const options = { ftArch: input.ftArch ?? 80 };
  const cut = { count: workers, ...(input.rank === undefined ? {} : { rank: input.rank }) };
  const tensors = emitted.flatMap((one) => shardPieces(one, cut, (part) => piecesOf(part, scheme, options)));
  refuseEmpty(tensors);
  const declaredUnused = new Set(architecture.unused(derived));
  const used = new Set(mapped.flatMap(({ sources }) => sources));
  const unused = unusedNames(checkpoint, used, declaredUnused);
  refuseUnusedScales(unused, scheme);
  return {
    architecture: architecture.key,
    scheme,
    sourceFormat: checkpoint.format,
    files: checkpoint.files,
    tensors,
    metadata: metadataOf({ tensors, emitted, checkpoint, declaredUnused }),
    unused,
    notices: [
      ...checkpoint.notices,
      ...derived.notices,
      ...notices,
      ...upstreamNotices({ architecture, config: derived, scheme, checkpoint, bound }),
      ...shardingNotices(architecture, bound, workers),
    ],
  };
}

function withWorkers(derived: DerivedConfig, workers: number): DerivedConfig {
  if (workers === 1) return derived;
  return { ...derived, fields: new Map([...derived.fields, ["tensor_parallel_shards", workers]]) };
}

async function refuseMissing(
  mapped: readonly Mapped[],
  input: PlanInput,
  derived: DerivedConfig,
): Promise<void> {
  const { architecture, checkpoint, config } = input;
  const missing = missingSources(mapped, checkpoint);
  if (missing.length === 0) return;
  const names = new Set(checkpoint.tensors.keys());
  const needed = [...new Set(mapped.flatMap(({ sources }) => sources))];
  const guess = await explainMissing({ key: architecture.key, config, derived, needed, names });
  throw new PlanError(
    "E_MISSING_TENSORS",
    `the checkpoint lacks ${missing.length} tensor${missing.length === 1 ? "" : "s"}:\n${listProblems(missing)}`,
    { hint: guess ?? "check that the download is complete and that --model-type fits the checkpoint" },
  );
}

function bindAll(mapped: readonly Mapped[], input: PlanInput, workers: number): readonly BoundParameter[] {
  const { checkpoint, scheme } = input;
  const shapes: string[] = [];
  const dtypes: string[] = [];
  const bound = mapped.flatMap(({ parameter, sources }) => {
    const one = bind(parameter, sources, checkpoint);
    if (typeof one === "string") {
      shapes.push(one);
      return [];
    }
    const expected = wholeShape(parameter, workers);
    if (!shapeFits(expected, one.value.shape)) shapes.push(shapeProblem(checkpoint, one, expected));
    const problem = dtypeProblem(checkpoint, one, scheme);
    if (problem) dtypes.push(problem);
    return [one];
  });
  if (shapes.length > 0) throw shapeError(shapes, workers);
  if (dtypes.length > 0) {
    throw new PlanError(
      "E_DTYPE",
      `${dtypes.length} tensors have a dtype that does not fit:\n${listProblems(dtypes)}`,
      {
        hint: "convert the original float checkpoint",
      },
    );
  }
  return bound;
}

function bind(
  parameter: Parameter,
  sources: readonly string[],
  checkpoint: Checkpoint,
): BoundParameter | string {
  const resolve = (name: string): TensorInfo => checkpoint.tensors.get(name) as TensorInfo;
  try {
    return {
      parameter,
      sources,
      value: evaluate(restoreForms(upcast(parameter.value, checkpoint), checkpoint), resolve),
    };
  } catch (error) {
    if (!(error instanceof ShapeProblem)) throw error;
    return `${parameter.name}: ${error.message} (from ${sources.slice(0, 3).join(", ")})`;
  }
}

/** Upstream reads bfloat16 of a `.bin` as float32, so that is the dtype in which it adds (formats.md §2.5). */
function upcast(expression: Expression, checkpoint: Checkpoint): Expression {
  if (expression.op !== "add1" || checkpoint.format !== "huggingface-torch") return expression;
  const bf16 = sourceNames(expression).every((name) => checkpoint.tensors.get(name)?.dtype === "bfloat16");
  return bf16 ? { ...expression, in: "float32" } : expression;
}

function shapeError(problems: readonly string[], workers: number): PlanError {
  const count = `${problems.length} tensor${problems.length === 1 ? "" : "s"}`;
  if (workers > 1) {
    return new PlanError(
      "E_PRESHARD",
      `${count} cannot be cut for ${workers} workers:\n${listProblems(problems)}`,
      {
        hint: "leave --preshard out: this architecture cannot be pre-sharded",
      },
    );
  }
  return new PlanError(
    "E_SHAPE",
    `${count} do not have the shape that config.json asks for:\n${listProblems(problems)}`,
    {
      hint: "check that config.json belongs to these weights",
    },
  );
}

function refuseEmpty(tensors: readonly OutputTensor[]): void {
  if (tensors.length === 0) {
    throw new PlanError("E_EMPTY", "there is nothing to convert: the configuration describes no tensors");
  }
  const empty = tensors.filter(({ shape }) => elementCount(shape) === 0).map(({ name }) => name);
  if (empty.length === 0) return;
  throw new PlanError("E_EMPTY", `tensors without elements cannot be stored:\n${listProblems(empty)}`);
}
