import type { DType } from "../core/dtype.ts";
import { unknownQuantization } from "./unknown-quantization.ts";

/** Upstream's names of the quantizer families. */
export type SchemeKind =
  | "no-quant"
  | "group-quant"
  | "ft-quant"
  | "awq"
  | "per-tensor-quant"
  | "block-scale-quant";

/** Order of a quantized linear weight's axes: `NK` as stored in the source, `KN` transposed. */
export type LinearLayout = "NK" | "KN";

interface SchemeBase {
  readonly name: string;
  /** Dtype of everything that is not quantized. */
  readonly modelDType: "float16" | "bfloat16" | "float32";
}

export interface PlainScheme extends SchemeBase {
  readonly kind: "no-quant";
}
export interface GroupScheme extends SchemeBase {
  readonly kind: "group-quant";
  readonly bits: 3 | 4;
  readonly group: 32 | 40;
  readonly linearLayout: LinearLayout;
  readonly quantizeEmbedding: boolean;
  readonly quantizeFinalFc: boolean;
}
export interface FtScheme extends SchemeBase {
  readonly kind: "ft-quant";
}
export interface AwqScheme extends SchemeBase {
  readonly kind: "awq";
  readonly group: 128;
}
export interface PerTensorScheme extends SchemeBase {
  readonly kind: "per-tensor-quant";
  readonly weightDType: "float8_e4m3fn" | "float8_e5m2";
  readonly scale: boolean;
  readonly calibrationScale: boolean;
}
export interface BlockScaleScheme extends SchemeBase {
  readonly kind: "block-scale-quant";
  readonly staticActivation: boolean;
}

/** One quantization of upstream's, spelled as upstream spells it (quantization.md §1). */
export type Scheme = PlainScheme | GroupScheme | FtScheme | AwqScheme | PerTensorScheme | BlockScaleScheme;

type Model = SchemeBase["modelDType"];

const plain = (name: string, modelDType: Model): PlainScheme => ({ kind: "no-quant", name, modelDType });

const group = (
  name: string,
  modelDType: Model,
  bits: 3 | 4,
  linearLayout: LinearLayout,
  keepEnds = false,
): GroupScheme => ({
  kind: "group-quant",
  name,
  modelDType,
  bits,
  group: bits === 4 ? 32 : 40,
  linearLayout,
  quantizeEmbedding: !keepEnds,
  quantizeFinalFc: !keepEnds,
});

const perTensor = (
  name: string,
  weightDType: PerTensorScheme["weightDType"],
  scale: boolean,
  calibrationScale: boolean,
): PerTensorScheme => ({
  kind: "per-tensor-quant",
  name,
  modelDType: "float16",
  weightDType,
  scale,
  calibrationScale,
});

const blockScale = (name: string, staticActivation: boolean): BlockScaleScheme => ({
  kind: "block-scale-quant",
  name,
  modelDType: "bfloat16",
  staticActivation,
});

/** Every scheme, in the order in which they are listed to users. */
export const SCHEMES: readonly Scheme[] = [
  plain("q0f16", "float16"),
  plain("q0bf16", "bfloat16"),
  plain("q0f32", "float32"),
  group("q3f16_0", "float16", 3, "KN"),
  group("q3f16_1", "float16", 3, "NK"),
  group("q4f16_0", "float16", 4, "KN"),
  group("q4f16_1", "float16", 4, "NK"),
  group("q4bf16_0", "bfloat16", 4, "KN"),
  group("q4bf16_1", "bfloat16", 4, "NK"),
  group("q4f32_1", "float32", 4, "NK"),
  group("q4f16_2", "float16", 4, "NK", true),
  { kind: "awq", name: "q4f16_autoawq", modelDType: "float16", group: 128 },
  { kind: "ft-quant", name: "q4f16_ft", modelDType: "float16" },
  perTensor("e5m2_e5m2_f16", "float8_e5m2", false, false),
  perTensor("e4m3_e4m3_f16", "float8_e4m3fn", true, true),
  perTensor("e4m3_e4m3_f16_max_calibrate", "float8_e4m3fn", true, false),
  blockScale("fp8_e4m3fn_bf16_block_scale", false),
  blockScale("fp8_e4m3fn_bf16_block_scale_static_activation", true),
];

/**
 * Finds a scheme by upstream's name.
 * @throws {UsageError} `E_UNKNOWN_QUANTIZATION` with all names, and what was probably meant
 */
export function schemeOf(name: string): Scheme {
  const scheme = SCHEMES.find((candidate) => candidate.name === name);
  if (scheme) return scheme;
  throw unknownQuantization(name, "mlc", SCHEMES);
}

/** Storage dtype of a group scheme's packed words. */
export const WORD_DTYPE: DType = "uint32";
