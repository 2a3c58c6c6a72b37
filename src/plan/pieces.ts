import { PlanError } from "../core/errors.ts";
import { product } from "./gather.ts";
import { isFinalLayer, isGate, moduleOf } from "./node-rules.ts";
import type { Parameter } from "./parameter.ts";
import type { Encoding, OutputTensor } from "./plan.ts";
import type { GroupScheme, PerTensorScheme, Scheme } from "./scheme.ts";
import type { Value } from "./value.ts";

/** A parameter whose value is known: its real shape replaces symbolic extents. */
export interface BoundParameter {
  readonly parameter: Parameter;
  readonly value: Value;
  readonly sources: readonly string[];
}

export interface PieceOptions {
  /** Compute capability that q4f16_ft is laid out for, e.g. 80. */
  readonly ftArch: number;
}

const FT_GROUP = 32;

/**
 * What a scheme makes of one parameter, in output order (architectures.md §2.0.1).
 * @throws {PlanError} for combinations that cannot be stored
 */
export function piecesOf(
  bound: BoundParameter,
  scheme: Scheme,
  options: PieceOptions,
): readonly OutputTensor[] {
  const { parameter } = bound;
  switch (scheme.kind) {
    case "no-quant":
    case "awq":
    case "block-scale-quant":
      return [plainPiece(bound, scheme)];
    case "group-quant":
      return quantizedByGroups(parameter, scheme) ? groupPieces(bound, scheme) : [plainPiece(bound, scheme)];
    case "per-tensor-quant":
      return quantizedPerTensor(parameter) ? perTensorPieces(bound, scheme) : [plainPiece(bound, scheme)];
    case "ft-quant":
      return ftPieces(bound, scheme, options);
  }
}

function quantizedByGroups(parameter: Parameter, scheme: GroupScheme): boolean {
  if (parameter.noQuant) return false;
  if (parameter.kind === "embedding") return scheme.quantizeEmbedding;
  if (parameter.kind === "experts") return true;
  if (parameter.kind !== "linear" || isGate(parameter)) return false;
  return scheme.quantizeFinalFc || !isFinalLayer(parameter);
}

function quantizedPerTensor(parameter: Parameter): boolean {
  if (parameter.kind === "experts") return true;
  return parameter.kind === "linear" && !isFinalLayer(parameter) && !isGate(parameter);
}

interface PieceSpec {
  readonly suffix?: string;
  readonly shape: readonly number[];
  readonly dtype: OutputTensor["dtype"];
  readonly encoding: Encoding;
}

function piece(bound: BoundParameter, modelDType: OutputTensor["modelDType"], spec: PieceSpec): OutputTensor {
  const { parameter, value, sources } = bound;
  const cols = value.shape.at(-1) ?? 1;
  return {
    name: spec.suffix ? `${moduleOf(parameter)}.${spec.suffix}` : parameter.name,
    shape: spec.shape,
    dtype: spec.dtype,
    encoding: spec.encoding,
    modelDType,
    value,
    rows: product(value.shape) / Math.max(cols, 1),
    cols,
    sources,
    parameter: parameter.name,
  };
}

function plainPiece(bound: BoundParameter, scheme: Scheme): OutputTensor {
  const dtype = bound.parameter.dtype ?? scheme.modelDType;
  return piece(bound, dtype, { shape: bound.value.shape, dtype, encoding: { kind: "raw" } });
}

type GroupLayout = Pick<GroupScheme, "bits" | "group" | "linearLayout" | "modelDType">;

function groupPieces(bound: BoundParameter, scheme: GroupLayout): readonly OutputTensor[] {
  const { parameter, value } = bound;
  const transposed = scheme.linearLayout === "KN" && parameter.kind !== "embedding";
  if (transposed && parameter.kind === "experts") {
    throw new PlanError(
      "E_EXPERTS_KN",
      `${parameter.name}: expert stacks cannot be stored in the KN layout`,
      {
        hint: "use the scheme whose name ends in _1",
      },
    );
  }
  const rows = value.shape.slice(0, -1);
  const groups = Math.ceil((value.shape.at(-1) as number) / scheme.group);
  const words = groups * 4;
  const lay = (extent: number): readonly number[] => (transposed ? [extent, ...rows] : [...rows, extent]);
  const encoding = {
    bits: scheme.bits,
    group: scheme.group,
    transposed,
    unroundedScale: transposed && scheme.modelDType === "bfloat16",
  };
  return [
    piece(bound, scheme.modelDType, {
      suffix: "q_weight",
      shape: lay(words),
      dtype: "uint32",
      encoding: { kind: "group-words", ...encoding },
    }),
    piece(bound, scheme.modelDType, {
      suffix: "q_scale",
      shape: lay(groups),
      dtype: scheme.modelDType,
      encoding: { kind: "group-scales", ...encoding },
    }),
  ];
}

function perTensorPieces(bound: BoundParameter, scheme: PerTensorScheme): readonly OutputTensor[] {
  const { weightDType, modelDType } = scheme;
  const pieces = [
    piece(bound, modelDType, {
      suffix: "q_weight",
      shape: bound.value.shape,
      dtype: weightDType,
      encoding: { kind: "fp8-values", format: weightDType, scaled: scheme.scale },
    }),
  ];
  const scalar = { shape: [1], dtype: "float32" } as const;
  if (scheme.scale) {
    pieces.push(piece(bound, modelDType, { suffix: "q_scale", ...scalar, encoding: { kind: "fp8-scale" } }));
  }
  if (scheme.calibrationScale) {
    const encoding = { kind: "constant", value: 1 } as const;
    pieces.push(piece(bound, modelDType, { suffix: "q_calibration_scale", ...scalar, encoding }));
  }
  return pieces;
}

/** True for a linear weight that q4f16_ft lays out its own way, were it no gate; others are quantized by groups. */
export function fitsFt({ parameter, value }: BoundParameter): boolean {
  if (parameter.kind !== "linear" || isFinalLayer(parameter) || parameter.float32Output) return false;
  return (value.shape[0] as number) % 8 === 0;
}

function ftPieces(bound: BoundParameter, scheme: Scheme, options: PieceOptions): readonly OutputTensor[] {
  const { parameter, value } = bound;
  const fallback: GroupLayout = { bits: 4, group: FT_GROUP, linearLayout: "NK", modelDType: "float16" };
  if (parameter.kind === "embedding") return groupPieces(bound, fallback);
  if (parameter.kind !== "linear") return [plainPiece(bound, scheme)];
  const [rows, cols] = value.shape as [number, number];
  if (!fitsFt(bound)) return groupPieces(bound, fallback);
  if (isGate(parameter)) return [plainPiece(bound, scheme)];
  if (options.ftArch >= 75 && (rows % 64 !== 0 || cols % 64 !== 0)) {
    throw new PlanError(
      "E_FT_SHAPE",
      `${parameter.name}: q4f16_ft needs rows and columns that are multiples of 64, found [${rows}, ${cols}]`,
      { hint: "use q4f16_1, which takes any shape" },
    );
  }
  return [
    piece(bound, "float16", {
      suffix: "q_weight",
      shape: [cols, Math.ceil(rows / 2)],
      dtype: "int8",
      encoding: { kind: "ft-words", arch: options.ftArch },
    }),
    piece(bound, "float16", {
      suffix: "q_scale",
      shape: [1, rows],
      dtype: "float16",
      encoding: { kind: "ft-scales" },
    }),
  ];
}
