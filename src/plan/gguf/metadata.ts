import { elementCount } from "../../core/dtype.ts";
import { type GgufMetadata, type GgufValue, ggufF32, ggufText, ggufU32 } from "../../core/gguf.ts";
import type { GgufModel } from "./model.ts";
import { rotaryDims } from "./rope.ts";

type Entry = readonly [key: string, value: GgufValue];

/** Version of the block formats that quantized files state. */
const QUANTIZATION_VERSION = 2;

/** What `general.*` says. */
export interface GgufIdentity {
  readonly name: string;
  readonly fileType: number;
  /** Names and shapes of all tensors in the file, for the size label. */
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** The `general.*` and architecture keys of a model (gguf.md, section 4, "Metadata"), without the tokenizer's. */
export function ggufModelMetadata(model: GgufModel, identity: GgufIdentity): GgufMetadata {
  const architecture: readonly Entry[] = [
    ...shapeKeys(model),
    ...headKeys(model),
    ...ropeKeys(model),
    ...windowKeys(model),
    ...expertKeys(model),
  ];
  return new Map<string, GgufValue>([
    ["general.architecture", ggufText(model.architecture)],
    ["general.type", ggufText("model")],
    ["general.name", ggufText(identity.name)],
    ["general.size_label", ggufText(sizeLabel(identity.tensors, model.experts))],
    ["general.file_type", ggufU32(identity.fileType)],
    ["general.quantization_version", ggufU32(QUANTIZATION_VERSION)],
    ...architecture.map(([key, value]): Entry => [`${model.architecture}.${key}`, value]),
  ]);
}

function shapeKeys(model: GgufModel): readonly Entry[] {
  return [
    ["block_count", ggufU32(model.layers)],
    ["context_length", ggufU32(model.context)],
    ["embedding_length", ggufU32(model.hidden)],
    ["feed_forward_length", ggufU32(model.feedForward)],
    ...(model.architecture === "llama" ? [["vocab_size", ggufU32(model.vocab)] as const] : []),
  ];
}

function headKeys(model: GgufModel): readonly Entry[] {
  const { architecture, family, config, heads, kvHeads, headDim, epsilon } = model;
  const implied = architecture === "qwen2" || architecture === "phi3";
  const given = family !== "mixtral" || config.get("head_dim") !== undefined;
  return [
    ["attention.head_count", ggufU32(heads)],
    ["attention.head_count_kv", ggufU32(kvHeads)],
    ["attention.layer_norm_rms_epsilon", ggufF32(epsilon)],
    ...(!implied && given
      ? ([
          ["attention.key_length", ggufU32(headDim)],
          ["attention.value_length", ggufU32(headDim)],
        ] as const)
      : []),
  ];
}

function ropeKeys(model: GgufModel): readonly Entry[] {
  const { architecture, rope, headDim } = model;
  const entries: Entry[] = [];
  const assumed = architecture === "gemma" || architecture === "gemma2";
  if (!assumed || rope.theta !== 10_000) entries.push(["rope.freq_base", ggufF32(rope.theta)]);
  if (architecture === "gemma3") entries.push(["rope.freq_base_swa", ggufF32(rope.localTheta)]);
  if (architecture === "llama") entries.push(["rope.dimension_count", ggufU32(headDim)]);
  if (architecture === "phi3") return [...entries, ...phiRopeKeys(model)];
  if (rope.type !== "linear" && rope.type !== "yarn") return entries;
  entries.push(["rope.scaling.type", ggufText(rope.type)]);
  entries.push(["rope.scaling.factor", ggufF32(rope.fields.number("factor"))]);
  return rope.type === "yarn" ? [...entries, ...yarnKeys(model)] : entries;
}

function yarnKeys({ rope, context }: GgufModel): readonly Entry[] {
  const original = rope.fields.number("original_max_position_embeddings", context);
  const optional: readonly (readonly [field: string, key: string])[] = [
    ["extrapolation_factor", "yarn_ext_factor"],
    ["attention_factor", "yarn_attn_factor"],
    ["beta_fast", "yarn_beta_fast"],
    ["beta_slow", "yarn_beta_slow"],
  ];
  return [
    ["rope.scaling.original_context_length", ggufU32(original)],
    ...optional.flatMap(([field, key]): readonly Entry[] => {
      const value = rope.fields.optional(field);
      return value === undefined ? [] : [[`rope.scaling.${key}`, ggufF32(value)]];
    }),
  ];
}

function phiRopeKeys(model: GgufModel): readonly Entry[] {
  const { config, rope, context } = model;
  const original = config.number(
    "original_max_position_embeddings",
    rope.fields.optional("original_max_position_embeddings") ?? 4096,
  );
  const ratio = context / original;
  const attention = ratio > 1 ? Math.sqrt(1 + Math.log(ratio) / Math.log(original)) : 1;
  return [
    ["rope.dimension_count", ggufU32(rotaryDims(model))],
    ["rope.scaling.original_context_length", ggufU32(original)],
    ...(rope.type === "default" ? [] : [["rope.scaling.attn_factor", ggufF32(attention)] as const]),
  ];
}

/** What loaders assume where a file does not say how many layers share one full-attention layer. */
const ASSUMED_PERIODS: Readonly<Record<string, number>> = { gemma2: 2, gemma3: 6 };

function windowKeys({ architecture, config }: GgufModel): readonly Entry[] {
  const entries: Entry[] = [];
  if (architecture === "gemma2") {
    entries.push(["attn_logit_softcapping", ggufF32(config.number("attn_logit_softcapping", 50))]);
    entries.push(["final_logit_softcapping", ggufF32(config.number("final_logit_softcapping", 30))]);
  }
  const final = architecture === "gemma3" ? config.optional("final_logit_softcapping") : undefined;
  if (final !== undefined) entries.push(["final_logit_softcapping", ggufF32(final)]);
  const windowed = architecture === "phi3" || architecture in ASSUMED_PERIODS;
  if (!windowed) return entries;
  const fallback = architecture === "phi3" ? 0 : 4096;
  const window = config.get("sliding_window") === undefined ? fallback : config.number("sliding_window");
  entries.push(["attention.sliding_window", ggufU32(window)]);
  const period = config.optional("sliding_window_pattern") ?? config.optional("_sliding_window_pattern");
  const kinds = config.get("layer_types");
  const assumed = ASSUMED_PERIODS[architecture];
  if (Array.isArray(kinds)) {
    const sliding = kinds.map((kind) => kind === "sliding_attention");
    const regular =
      assumed !== undefined && sliding.every((each, i) => each === (i % assumed !== assumed - 1));
    if (!regular && architecture !== "phi3") {
      entries.push(["attention.sliding_window_pattern", { type: "arr", of: "bool", values: sliding }]);
    }
  } else if (period !== undefined && assumed !== undefined && period !== assumed) {
    entries.push(["attention.sliding_window_pattern", ggufU32(period)]);
  }
  return entries;
}

function expertKeys({ family, experts, config }: GgufModel): readonly Entry[] {
  if (experts === 0) return [];
  const used = config.number("num_experts_per_tok", family === "mixtral" ? 2 : 8);
  return [
    ["expert_count", ggufU32(experts)],
    ["expert_used_count", ggufU32(used)],
    ...(family === "qwen3_moe"
      ? [["expert_feed_forward_length", ggufU32(config.number("moe_intermediate_size", 768))] as const]
      : []),
  ];
}

/** Parameters for people: `8.0B`, or `8x7.2B` with the parameters that one expert's path has. */
function sizeLabel(tensors: GgufIdentity["tensors"], experts: number): string {
  let shared = 0;
  let expert = 0;
  for (const { name, shape } of tensors) {
    if (name.includes("_exps.")) expert += elementCount(shape);
    else shared += elementCount(shape);
  }
  if (experts === 0) return roundedCount(shared);
  return `${experts}x${roundedCount(shared + Math.floor(expert / experts))}`;
}

function roundedCount(count: number): string {
  const [unit, suffix] = count > 1e9 ? [1e9, "B"] : count > 1e6 ? [1e6, "M"] : [1e3, "K"];
  const scaled = count / (unit as number);
  const digits = Math.round(scaled) === 0 ? 0 : String(Math.round(scaled)).length;
  return `${scaled.toFixed(Math.max(2 - digits, 0))}${suffix}`;
}

/** A model's name for people, from its folder's name: words for hyphens, capitals for what has none. */
export function ggufModelName(folder: string): string {
  return folder
    .split(/[-_\s]+/)
    .filter((word) => word !== "")
    .map((word) => (/^[a-z]+$/.test(word) ? word.charAt(0).toUpperCase() + word.slice(1) : word))
    .join(" ");
}
