import type { DType } from "../core/dtype.ts";
import { PlanError } from "../core/errors.ts";
import { isFinalLayer, isGate, moduleOf } from "./node-rules.ts";
import { ANY_VOCAB, type Expression, type Parameter } from "./parameter.ts";
import { mapSources, source } from "./table.ts";

/** Inputs that share a scale and a zero point. */
const GROUP = 128;
/** 4-bit values in a 32-bit word. */
const PER_WORD = 8;

interface Piece {
  readonly suffix: string;
  /** Absent for the model dtype. */
  readonly dtype?: DType;
  readonly shape: (outputs: number, inputs: number) => readonly number[];
}

/** The three tensors of a quantized linear layer, [inputs or groups, outputs or words]. */
const PIECES: readonly Piece[] = [
  { suffix: "qweight", dtype: "uint32", shape: (n, k) => [k, n / PER_WORD] },
  { suffix: "qzeros", dtype: "uint32", shape: (n, k) => [k / GROUP, n / PER_WORD] },
  { suffix: "scales", shape: (n, k) => [k / GROUP, n] },
];

const isPacked = (one: Parameter): boolean => one.kind === "linear" && !isFinalLayer(one) && !isGate(one);

/**
 * Why a model's linear layers cannot be taken as AutoAWQ stores them; `undefined` if they can. They can where each
 * is one tensor `X.weight`, or several joined along their outputs: then `X.qweight`, `X.qzeros` and `X.scales` are
 * named and joined alike (architectures.md §2.45), whatever the architecture.
 * @param parameters those of the unquantized model
 */
export function awqObstacle(parameters: readonly Parameter[]): string | undefined {
  const expert = parameters.find(({ kind }) => kind === "experts");
  if (expert) return `the experts of ${expert.name} are stacked, which packed words do not allow`;
  for (const one of parameters.filter(isPacked)) {
    const obstacle = obstacleOf(one);
    if (obstacle !== undefined) return obstacle;
  }
  return undefined;
}

function obstacleOf({ name, shape, value }: Parameter): string | undefined {
  if (shape.includes(ANY_VOCAB)) return `${name} is the final layer, but upstream does not know it as one`;
  const parts = value.op === "concat" && value.axis === 0 ? value.parts : [value];
  const plain = parts.every((part) => part.op === "source" && part.name.endsWith(".weight"));
  return plain ? undefined : `${name} is made with "${value.op}", which packed words do not allow`;
}

/**
 * The parameters of a model whose linear layers are taken as AutoAWQ stored them (architectures.md §2.45).
 * Words are joined, never unpacked: along axis 1, where the table joins weights along axis 0.
 * @param parameters those of the unquantized model
 * @throws {PlanError} `E_AWQ_SHAPE` if a layer cannot be stored in groups of 128 inputs and words of 8 outputs;
 * `E_UNSUPPORTED_QUANTIZATION` if its weights cannot be joined as words
 */
export function awqParameters(parameters: readonly Parameter[]): readonly Parameter[] {
  const obstacle = awqObstacle(parameters);
  if (obstacle !== undefined) {
    throw new PlanError("E_UNSUPPORTED_QUANTIZATION", `AWQ weights cannot be converted: ${obstacle}`, {
      hint: "convert the original checkpoint, with another quantization",
    });
  }
  const packed = parameters.filter(isPacked);
  const modules = new Set(packed.map(moduleOf));
  return parameters.flatMap((one) => {
    if (packed.includes(one)) return pieces(one);
    const ownsShard = one.kind === "bias" && modules.has(one.name.slice(0, -".bias".length));
    return [ownsShard ? withoutShard(one) : one];
  });
}

/** Strategies of quantized layers, biases included, are dropped as upstream does. */
function withoutShard({ shard: _, ...rest }: Parameter): Parameter {
  return rest;
}

function pieces(parameter: Parameter): readonly Parameter[] {
  const [outputs, inputs] = parameter.shape;
  const fits =
    typeof outputs === "number" &&
    typeof inputs === "number" &&
    outputs % PER_WORD === 0 &&
    inputs % GROUP === 0;
  if (!fits) {
    throw new PlanError(
      "E_AWQ_SHAPE",
      `${parameter.name}: [${outputs}, ${inputs}] cannot be an AWQ layer: outputs must be divisible by ${PER_WORD}, inputs by ${GROUP}`,
    );
  }
  return PIECES.map(({ suffix, dtype, shape }) => ({
    name: `${moduleOf(parameter)}.${suffix}`,
    kind: "raw",
    shape: shape(outputs, inputs),
    ...(dtype && { dtype }),
    value: alongOutputs(mapSources(parameter.value, (name) => source(name.replace(/weight$/, suffix)))),
  }));
}

function alongOutputs(value: Expression): Expression {
  return value.op === "concat" ? { ...value, axis: 1 } : value;
}
