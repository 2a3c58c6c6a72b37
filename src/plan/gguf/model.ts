import type { JsonObject } from "../../core/json.ts";
import { ConfigReader, configError } from "./config.ts";

/** `general.architecture` of a GGUF file. */
export type GgufArchitecture =
  | "llama"
  | "qwen2"
  | "qwen3"
  | "qwen3moe"
  | "gemma"
  | "gemma2"
  | "gemma3"
  | "phi3";

/** Which family of checkpoints: `model_type` of config.json. */
export type GgufFamily =
  | "llama"
  | "mistral"
  | "mixtral"
  | "qwen2"
  | "qwen3"
  | "qwen3_moe"
  | "gemma"
  | "gemma2"
  | "gemma3_text"
  | "phi3";

/** The figures of a model that names, shapes, types and metadata are made of. */
export interface GgufModel {
  readonly family: GgufFamily;
  readonly architecture: GgufArchitecture;
  readonly config: ConfigReader;
  readonly layers: number;
  readonly hidden: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
  readonly context: number;
  readonly epsilon: number;
  readonly tied: boolean;
  /** 0 for dense models. */
  readonly experts: number;
  readonly rope: GgufRope;
}

export interface GgufRope {
  readonly theta: number;
  /** Of gemma3's sliding layers. */
  readonly localTheta: number;
  readonly type: string;
  /** Fields of rope_scaling or rope_parameters. */
  readonly fields: ConfigReader;
}

/** Class defaults of transformers, for fields that config.json leaves out. */
interface Defaults {
  readonly architecture: GgufArchitecture;
  readonly context: number;
  readonly epsilon: number;
  readonly theta?: number;
  readonly heads?: number;
  /** Absent: as many as heads. */
  readonly kvHeads?: number;
  /** Absent: hidden / heads. */
  readonly headDim?: number;
  readonly tied?: boolean;
  readonly expertsField?: string;
  readonly experts?: number;
}

const FAMILIES: Readonly<Record<GgufFamily, Defaults>> = {
  llama: { architecture: "llama", context: 2048, epsilon: 1e-6 },
  mistral: { architecture: "llama", context: 131_072, epsilon: 1e-6, kvHeads: 8 },
  mixtral: {
    architecture: "llama",
    context: 131_072,
    epsilon: 1e-5,
    theta: 1e6,
    kvHeads: 8,
    expertsField: "num_local_experts",
    experts: 8,
  },
  qwen2: { architecture: "qwen2", context: 32_768, epsilon: 1e-6, kvHeads: 32 },
  qwen3: { architecture: "qwen3", context: 32_768, epsilon: 1e-6, kvHeads: 32, headDim: 128 },
  qwen3_moe: {
    architecture: "qwen3moe",
    context: 32_768,
    epsilon: 1e-6,
    kvHeads: 4,
    expertsField: "num_experts",
    experts: 128,
  },
  gemma: { architecture: "gemma", context: 8192, epsilon: 1e-6, headDim: 256, tied: true },
  gemma2: {
    architecture: "gemma2",
    context: 8192,
    epsilon: 1e-6,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    tied: true,
  },
  gemma3_text: {
    architecture: "gemma3",
    context: 131_072,
    epsilon: 1e-6,
    theta: 1e6,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    tied: true,
  },
  phi3: { architecture: "phi3", context: 4096, epsilon: 1e-5 },
};

const CLASSES: ReadonlyMap<string, GgufFamily> = new Map([
  ["LlamaForCausalLM", "llama"],
  ["MistralForCausalLM", "mistral"],
  ["MixtralForCausalLM", "mixtral"],
  ["Qwen2ForCausalLM", "qwen2"],
  ["Qwen3ForCausalLM", "qwen3"],
  ["Qwen3MoeForCausalLM", "qwen3_moe"],
  ["GemmaForCausalLM", "gemma"],
  ["Gemma2ForCausalLM", "gemma2"],
  ["Gemma3ForCausalLM", "gemma3_text"],
  ["Phi3ForCausalLM", "phi3"],
]);

/** Families that can be written as GGUF, as `model_type` spells them. */
export const GGUF_FAMILIES: readonly string[] = Object.keys(FAMILIES);

/**
 * Reads the figures of a model from its config.json.
 * @param tokenizerSize number of tokens, for configs that leave vocab_size out
 * @throws {PlanError} `E_GGUF_ARCHITECTURE`, `E_GGUF_CONFIG`, `E_GGUF_NOT_EXPRESSIBLE`
 */
export function ggufModelOf(json: JsonObject, tokenizerSize?: number): GgufModel {
  const outer = new ConfigReader(json);
  const config = outer.object("text_config") ?? outer;
  const family = familyOf(outer);
  const defaults = FAMILIES[family];
  const hidden = config.number("hidden_size");
  const heads = config.number("num_attention_heads", defaults.heads);
  const model: GgufModel = {
    family,
    architecture: defaults.architecture,
    config,
    layers: config.number("num_hidden_layers"),
    hidden,
    feedForward: config.number("intermediate_size"),
    heads,
    kvHeads: config.number("num_key_value_heads", defaults.kvHeads ?? heads),
    headDim: config.number("head_dim", defaults.headDim ?? Math.floor(hidden / heads)),
    vocab: config.number("vocab_size", tokenizerSize),
    context: config.number("max_position_embeddings", defaults.context),
    epsilon: config.number("rms_norm_eps", defaults.epsilon),
    tied: outer.flag("tie_word_embeddings", config.flag("tie_word_embeddings", defaults.tied ?? false)),
    experts: defaults.expertsField ? config.number(defaults.expertsField, defaults.experts) : 0,
    rope: ropeOf(config, defaults.theta ?? 10_000),
  };
  refuseInexpressible(model);
  return model;
}

function familyOf(config: ConfigReader): GgufFamily {
  const type = config.string("model_type");
  if (type === "gemma3") return "gemma3_text";
  const classes = config.get("architectures");
  const name = Array.isArray(classes) ? classes.find((each) => typeof each === "string") : undefined;
  const family = GGUF_FAMILIES.find((each): each is GgufFamily => each === type) ?? CLASSES.get(String(name));
  if (family !== undefined) return family;
  throw configError(
    `cannot write ${type ?? String(name ?? "a model of unknown type")} as GGUF; known are ${GGUF_FAMILIES.join(", ")}`,
    "E_GGUF_ARCHITECTURE",
  );
}

/** Old configs have rope_theta and rope_scaling, new ones rope_parameters, also one per kind of layer. */
function ropeOf(config: ConfigReader, theta: number): GgufRope {
  const parameters = config.object("rope_parameters");
  const full = parameters?.object("full_attention") ?? parameters;
  const sliding = parameters?.object("sliding_attention");
  const fields = full ?? config.object("rope_scaling") ?? new ConfigReader(new Map());
  return {
    theta: full?.optional("rope_theta") ?? config.number("rope_theta", theta),
    localTheta: sliding?.optional("rope_theta") ?? config.number("rope_local_base_freq", 10_000),
    type: fields.string("rope_type") ?? fields.string("type") ?? "default",
    fields,
  };
}

const SCALING_TYPES: Readonly<Record<GgufArchitecture, readonly string[]>> = {
  llama: ["default", "linear", "yarn", "llama3"],
  qwen2: ["default", "linear", "yarn"],
  qwen3: ["default", "linear", "yarn"],
  qwen3moe: ["default", "linear", "yarn"],
  gemma: ["default"],
  gemma2: ["default"],
  gemma3: ["default", "linear"],
  phi3: ["default", "longrope", "su"],
};

function refuseInexpressible(model: GgufModel): void {
  const { architecture, config, heads, hidden, headDim, layers } = model;
  const refuse = (what: string): never => {
    throw configError(`GGUF cannot express ${what} (${model.family})`, "E_GGUF_NOT_EXPRESSIBLE");
  };
  if (!SCALING_TYPES[architecture].includes(model.rope.type))
    refuse(`rope scaling of type ${model.rope.type}`);
  if ((architecture === "qwen2" || architecture === "phi3") && headDim * heads !== hidden) {
    refuse(`head_dim ${headDim} with hidden_size ${hidden} and ${heads} heads`);
  }
  if (architecture === "qwen3moe") {
    if (!config.flag("norm_topk_prob", false)) refuse("norm_topk_prob = false");
    if (config.number("decoder_sparse_step", 1) !== 1) refuse("a decoder_sparse_step other than 1");
    if ((config.numbers("mlp_only_layers") ?? []).length > 0) refuse("mlp_only_layers");
  }
  if (architecture === "gemma2" || architecture === "gemma3") {
    // Loaders know the two 27B models by their layer count and scale by hidden / heads there.
    const large = layers === (architecture === "gemma2" ? 46 : 62);
    const scalar = config.number("query_pre_attn_scalar", 256);
    const assumed = large ? hidden / heads : headDim;
    if (scalar !== assumed) refuse(`query_pre_attn_scalar ${scalar} (loaders assume ${assumed})`);
  }
}
