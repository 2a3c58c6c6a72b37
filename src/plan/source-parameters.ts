import { PlanError } from "../core/errors.ts";
import { isArray, isObject, type JsonObject } from "../core/json.ts";
import type { SourceFormat } from "../core/tensor-info.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";
import { awqObstacle, awqParameters } from "./awq.ts";
import { blockScaleParameters } from "./block-scale.ts";
import { spell } from "./field-reader.ts";
import type { Parameter } from "./parameter.ts";
import { type BlockScaleScheme, SCHEMES, type Scheme } from "./scheme.ts";
import { renameSources, sourceNames } from "./table.ts";

/** Everything that decides which tensors the parameters are made of. */
export interface SourceParametersInput {
  readonly architecture: Architecture;
  readonly derived: DerivedConfig;
  readonly scheme: Scheme;
  readonly format: SourceFormat;
  /** The checkpoint's tensors by name. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
}

export interface SourceParameters {
  /** For schemes that take weights as stored, the stored pieces stand in place of the weights. */
  readonly parameters: readonly Parameter[];
  /** Things worth telling the user, one sentence each. */
  readonly notices: readonly string[];
}

/**
 * The parameters of a model as expressions over this checkpoint's tensors: the architecture's table, with the
 * names that the checkpoint uses, and with stored fp8 or AWQ pieces where the scheme takes them as they are.
 *
 * @throws {PlanError} where architecture, scheme and checkpoint do not go together
 */
export function sourceParameters(input: SourceParametersInput): SourceParameters {
  const { architecture, derived, scheme, format } = input;
  requireScheme(architecture, scheme, derived);
  requireFormat(derived, scheme, format);
  const table = architecture.parameters(derived);
  if (scheme.kind === "awq") return { parameters: awqParameters(table), notices: awqNotices(architecture) };
  const { parameters, notices } = withNames(input, table);
  const block = derived.fields.get("weight_block_size");
  if (scheme.kind !== "block-scale-quant") {
    if (isArray(block)) throw storedInFp8(scheme);
    return { parameters, notices };
  }
  if (!isArray(block)) throw notInFp8(scheme);
  return { parameters: inBlocks(input, scheme, parameters), notices };
}

function awqNotices({ awqByRule, key }: Architecture): readonly string[] {
  if (!awqByRule) return [];
  return [
    `upstream has no AWQ for ${key}: its layers are named and joined by the rule that upstream has for llama, so check that your compiler takes them`,
  ];
}

/**
 * Refuses a scheme that the architecture does not have.
 * @param derived the model's config where it is known, to say what stands in the way
 * @throws {PlanError} `E_UNSUPPORTED_QUANTIZATION`, listing the schemes that it has
 */
export function requireScheme(architecture: Architecture, scheme: Scheme, derived?: DerivedConfig): void {
  if (hasScheme(architecture, scheme)) return;
  const usable = schemesOf(architecture).join(", ");
  const reasons = [
    architecture.schemeHints?.[scheme.kind],
    scheme.kind === "awq" && derived && awqObstacle(architecture.parameters(derived)),
    `${architecture.key} supports ${usable}`,
  ];
  throw new PlanError(
    "E_UNSUPPORTED_QUANTIZATION",
    `${architecture.key} cannot be converted to ${scheme.name}`,
    { hint: reasons.filter(Boolean).join("; ") },
  );
}

/** Names of the schemes that an architecture can be converted to. */
export function schemesOf(architecture: Architecture): readonly string[] {
  return SCHEMES.filter((scheme) => hasScheme(architecture, scheme)).map((scheme) => scheme.name);
}

/** Names of those that upstream lacks. */
export function schemesBeyondUpstream({ awqByRule }: Architecture): readonly string[] {
  return awqByRule ? SCHEMES.filter(({ kind }) => kind === "awq").map(({ name }) => name) : [];
}

function hasScheme(architecture: Architecture, scheme: Scheme): boolean {
  if (scheme.kind === "awq" && architecture.awqByRule) return true;
  if (!architecture.schemeKinds.includes(scheme.kind)) return false;
  return scheme.kind !== "block-scale-quant" || !scheme.staticActivation || architecture.looseScales === true;
}

function requireFormat(derived: DerivedConfig, scheme: Scheme, format: SourceFormat): void {
  if (scheme.kind !== "awq" && format !== "awq") return;
  if (scheme.kind !== "awq") {
    throw new PlanError("E_AWQ_SOURCE", `an AWQ checkpoint cannot be converted to ${scheme.name}`, {
      hint: "use q4f16_autoawq, or convert the original checkpoint",
    });
  }
  if (format !== "awq") {
    throw new PlanError("E_AWQ_SOURCE", `${scheme.name} takes AWQ checkpoints only, found ${format}`, {
      hint: "name an AWQ checkpoint with --source-format awq, or choose q4f16_1",
    });
  }
  const config = derived.extra.get("quantization_config");
  if (isObject(config)) requireGemm(config);
}

const GEMM: Readonly<Record<string, string | number>> = {
  quant_method: "awq",
  bits: 4,
  group_size: 128,
  version: "gemm",
};

function requireGemm(config: JsonObject): void {
  for (const [name, wanted] of Object.entries(GEMM)) {
    const found = config.get(name);
    const same = typeof found === "string" ? found.toLowerCase() === wanted : found === wanted;
    if (found === undefined || same) continue;
    throw new PlanError(
      "E_AWQ_SOURCE",
      `quantization_config.${name}: expected ${wanted}, found ${spell(found)}`,
      { hint: "only 4-bit AWQ checkpoints in GEMM layout with groups of 128 can be converted" },
    );
  }
}

function withNames(
  { architecture, tensors }: SourceParametersInput,
  table: readonly Parameter[],
): SourceParameters {
  const has = (parameters: readonly Parameter[]) =>
    parameters.every((one) => sourceNames(one.value).every((name) => tensors.has(name)));
  const alias = has(table) ? undefined : architecture.aliases?.(new Set(tensors.keys()));
  const renamed = alias && renameSources(table, alias.rename);
  return renamed && has(renamed)
    ? { parameters: renamed, notices: [alias.notice] }
    : { parameters: table, notices: [] };
}

function inBlocks(
  { architecture, derived, tensors }: SourceParametersInput,
  scheme: BlockScaleScheme,
  parameters: readonly Parameter[],
): readonly Parameter[] {
  const size = derived.fields.get("weight_block_size");
  const [rows, columns] = isArray(size) ? size : [];
  if (typeof rows !== "number" || typeof columns !== "number") throw notInFp8(scheme);
  return blockScaleParameters(parameters, {
    block: [rows, columns],
    staticActivation: scheme.staticActivation,
    loose: architecture.looseScales ?? false,
    shapeOf: (name) => tensors.get(name)?.shape,
  });
}

function storedInFp8(scheme: Scheme): PlanError {
  return new PlanError("E_FP8_SOURCE", `an fp8 checkpoint cannot be converted to ${scheme.name}`, {
    hint: "use fp8_e4m3fn_bf16_block_scale, or convert the original checkpoint",
  });
}

function notInFp8(scheme: Scheme): PlanError {
  return new PlanError(
    "E_FP8_SOURCE",
    `${scheme.name} takes weights as stored, but the checkpoint is not fp8 block quantized`,
    { hint: "choose another quantization, such as q4f16_1" },
  );
}
