import { listProblems, PlanError } from "../core/errors.ts";
import { isObject, type JsonObject } from "../core/json.ts";
import type { Checkpoint, TensorInfo } from "../core/tensor-info.ts";
import type { Extent, Parameter } from "./parameter.ts";
import type { BoundParameter } from "./pieces.ts";
import type { Scheme } from "./scheme.ts";

const shown = (shape: readonly Extent[]): string => `[${shape.join(", ")}]`;

/** Where a tensor lies, for messages. */
export function placeOf(checkpoint: Checkpoint, tensor: TensorInfo): string {
  return `${tensor.name} in ${checkpoint.files[tensor.file]?.name ?? "an unknown file"}`;
}

/** True if a real shape is the expected one; symbolic extents accept any size. */
export function shapeFits(expected: readonly Extent[], found: readonly number[]): boolean {
  if (expected.length !== found.length) return false;
  return expected.every((extent, axis) => extent === "vocab" || extent === found[axis]);
}

/** One line on a parameter whose shape is not what config.json says. */
export function shapeProblem(
  checkpoint: Checkpoint,
  { parameter, sources, value }: BoundParameter,
  expected: readonly Extent[],
): string {
  const [first] = sources;
  const tensor = first === undefined ? undefined : checkpoint.tensors.get(first);
  const where = tensor ? placeOf(checkpoint, tensor) : parameter.name;
  const rest = sources.length > 1 ? ` and ${sources.length - 1} more` : "";
  return `${parameter.name}: expected ${shown(expected)}, found ${shown(value.shape)} from ${where}${rest}`;
}

const FLOATS: ReadonlySet<string> = new Set(["float64", "float32", "float16", "bfloat16", "float8_e4m3fn"]);
const WORDS: ReadonlySet<string> = new Set(["int32", "uint32"]);
const isBlockType = (dtype: string): boolean => /^(q\d|iq\d|mxfp4)/.test(dtype);

/** Why the sources of a parameter cannot become what it should be; `undefined` if they can. */
export function dtypeProblem(
  checkpoint: Checkpoint,
  { parameter, sources }: BoundParameter,
  scheme: Scheme,
): string | undefined {
  const wanted = parameter.dtype ?? scheme.modelDType;
  const tensors = sources.map((name) => checkpoint.tensors.get(name) as TensorInfo);
  const fp8 = tensors.filter(({ dtype }) => dtype === "float8_e4m3fn");
  if (fp8.length > 0 && fp8.length < tensors.length) {
    return `${parameter.name}: mixes float8_e4m3fn with other dtypes (${placeOf(checkpoint, fp8[0] as TensorInfo)})`;
  }
  const odd = tensors.find(({ dtype }) => {
    if (wanted === "uint32") return !WORDS.has(dtype);
    if (wanted === "float8_e4m3fn") return dtype !== wanted;
    return !FLOATS.has(dtype) && !isBlockType(dtype);
  });
  return odd && `${parameter.name}: expected ${wanted}, found ${odd.dtype} for ${placeOf(checkpoint, odd)}`;
}

const COMPANION =
  /(^|[._])(weight_scale|weight_scale_inv|input_scale|activation_scale|SCB|qzeros|g_idx|absmax)$/;

/** Weights in fp8 blocks are whole without the scales of activations, which the dynamic scheme computes. */
const isOptional = (name: string, scheme: Scheme): boolean =>
  scheme.kind === "block-scale-quant" && name.endsWith("activation_scale");

/**
 * Refuses coded weights whose scales would be left aside: the numbers would mean nothing (errors.md C9).
 * @throws {PlanError} `E_UNUSED_SCALES`
 */
export function refuseUnusedScales(unused: readonly string[], scheme: Scheme): void {
  const scales = unused.filter((name) => COMPANION.test(name) && !isOptional(name, scheme));
  if (scales.length === 0) return;
  throw new PlanError(
    "E_UNUSED_SCALES",
    `the weights are coded and their scales would not be used:\n${listProblems(scales)}`,
    {
      hint: "convert the original checkpoint, or use the scheme made for this format (q4f16_autoawq, fp8_e4m3fn_bf16_block_scale)",
    },
  );
}

/**
 * Refuses a checkpoint that says it is already quantized in a way that neither architecture nor scheme reads.
 * @throws {PlanError} `E_ALREADY_QUANTIZED`, naming the method
 */
export function refuseForeignQuantization(
  config: JsonObject,
  scheme: Pick<Scheme, "name"> & { readonly kind?: Scheme["kind"] },
  readsFp8: boolean,
): void {
  const outer = config.get("quantization_config") ?? textConfig(config)?.get("quantization_config");
  if (!isObject(outer)) return;
  const method = String(outer.get("quant_method") ?? "unknown");
  if (method === "awq" && scheme.kind === "awq") return;
  if (method === "fp8" && readsFp8) return;
  const hint =
    method === "awq"
      ? "use -q q4f16_autoawq where the architecture has it, or the original checkpoint"
      : "convert the original, unquantized checkpoint";
  throw new PlanError(
    "E_ALREADY_QUANTIZED",
    `config.json: quantization_config says the checkpoint is quantized with "${method}", which ${scheme.name} cannot read`,
    { hint },
  );
}

function textConfig(config: JsonObject): JsonObject | undefined {
  const nested = config.get("text_config");
  return isObject(nested) ? nested : undefined;
}

/** Names that no output needs, in source order. */
export function unusedNames(
  checkpoint: Checkpoint,
  used: ReadonlySet<string>,
  declared: ReadonlySet<string>,
): readonly string[] {
  return [...checkpoint.tensors.keys()].filter((name) => !used.has(name) && !declared.has(name));
}

/** Parameters whose sources are not all there, as `name` → missing names. */
export function missingSources(
  parameters: readonly { readonly parameter: Parameter; readonly sources: readonly string[] }[],
  checkpoint: Checkpoint,
): readonly string[] {
  const missing = new Set<string>();
  for (const { sources } of parameters) {
    for (const name of sources) if (!checkpoint.tensors.has(name)) missing.add(name);
  }
  return [...missing];
}
