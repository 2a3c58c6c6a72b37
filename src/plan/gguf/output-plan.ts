import { byteLength, elementCount, layoutOf } from "../../core/dtype.ts";
import { listProblems, PlanError } from "../../core/errors.ts";
import type { Checkpoint, TensorInfo } from "../../core/tensor-info.ts";
import type { Expression } from "../parameter.ts";
import type { OutputTensor, Plan, PlanMetadata } from "../plan.ts";
import { sourceNames } from "../table.ts";
import { evaluate } from "../value.ts";
import type { GgufMixture } from "./mixture.ts";
import type { GgufPlan, GgufTensorPlan } from "./plan.ts";

export interface GgufOutputPlanInput {
  readonly gguf: GgufPlan;
  readonly checkpoint: Checkpoint;
  readonly mixture: GgufMixture;
  /** For reports. */
  readonly architecture: string;
}

/** A tensor that is made from weights. */
export type WeightTensor = Exclude<GgufTensorPlan, { readonly constant: Float32Array }>;

/** False for tensors that are made from the config. */
export const isWeight = (tensor: GgufTensorPlan): tensor is WeightTensor => !("constant" in tensor);

/**
 * The plan that execution carries out for a GGUF file: its weights in output order. Constants are no part of it.
 * @throws {PlanError} `E_DTYPE` for weights that are no numbers
 */
export function ggufOutputPlan({ gguf, checkpoint, mixture, architecture }: GgufOutputPlanInput): Plan {
  const weights = gguf.tensors.filter(isWeight);
  refuseCoded(weights, checkpoint);
  const tensors = weights.map((tensor) => outputTensor(tensor, checkpoint));
  const used = new Set(tensors.flatMap(({ sources }) => sources));
  return {
    architecture,
    scheme: { name: mixture.name },
    sourceFormat: checkpoint.format,
    files: checkpoint.files,
    tensors,
    metadata: metadataOf(gguf.tensors, used, checkpoint),
    unused: [...checkpoint.tensors.keys()].filter((name) => !used.has(name)),
    notices: checkpoint.notices,
  };
}

function outputTensor({ name, shape, dtype, value }: WeightTensor, checkpoint: Checkpoint): OutputTensor {
  const resolve = (source: string): TensorInfo => checkpoint.tensors.get(source) as TensorInfo;
  const inBlocks = layoutOf(dtype).blockElements > 1;
  const cols = shape.at(-1) ?? 1;
  return {
    name,
    shape,
    dtype,
    encoding: { kind: inBlocks ? "ggml" : "raw" },
    modelDType: inBlocks ? "float32" : dtype,
    value: evaluate(value, resolve),
    rows: elementCount(shape) / cols,
    cols,
    sources: sourceNames(value),
    parameter: name,
  };
}

function metadataOf(
  tensors: readonly GgufTensorPlan[],
  used: ReadonlySet<string>,
  checkpoint: Checkpoint,
): PlanMetadata {
  const bytes = ({ dtype, shape }: GgufTensorPlan): number => byteLength(dtype, elementCount(shape)) ?? 0;
  const paramBytes = tensors.reduce((sum, tensor) => sum + bytes(tensor), 0);
  let sourceParameters = 0;
  for (const name of used) sourceParameters += elementCount(checkpoint.tensors.get(name)?.shape ?? [0]);
  const bitsPerParam = (paramBytes * 8) / sourceParameters;
  return { paramSize: tensors.length, paramBytes, bitsPerParam, sourceParameters };
}

const FLOATS: ReadonlySet<string> = new Set(["float64", "float32", "float16", "bfloat16"]);

/** Integers and fp8 stand for numbers only together with scales that no GGUF file takes over. */
function refuseCoded(
  weights: readonly { readonly value: Expression }[],
  { tensors, files }: Checkpoint,
): void {
  const problems: string[] = [];
  for (const name of new Set(weights.flatMap(({ value }) => sourceNames(value)))) {
    const tensor = tensors.get(name);
    if (!tensor || FLOATS.has(tensor.dtype) || layoutOf(tensor.dtype).blockElements >= 32) continue;
    problems.push(`${name}: found ${tensor.dtype} in ${files[tensor.file]?.name ?? "an unknown file"}`);
  }
  if (problems.length === 0) return;
  throw new PlanError(
    "E_DTYPE",
    `${problems.length} tensors have a dtype that does not fit:\n${listProblems(problems)}`,
    { hint: "convert the original float checkpoint" },
  );
}
