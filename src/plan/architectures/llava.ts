import { PlanError } from "../../core/errors.ts";
import { isArray, isObject, type Json, type JsonObject, parseJson } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { clipConfig, clipTower } from "../clip-tower.ts";
import {
  type ConfigClass,
  type Draft,
  deriveNested,
  EXTRA_KEYS,
  integer,
  mergeExtraKeys,
  object,
  type Rule,
  text,
} from "../config-class.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, perLayer } from "../define-architecture.ts";
import { spell } from "../field-reader.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { bias, eachLayer, embedding, linear, norm, when } from "../table.ts";
import { llamaConfig } from "./llama.ts";
import { mistralConfig } from "./mistral.ts";

const TEXT_CLASSES: ReadonlyMap<string, ConfigClass> = new Map([
  ["LlamaForCausalLM", llamaConfig],
  ["MistralForCausalLM", mistralConfig],
]);

const llama2 = (sizes: string, rest: string): string => `{${sizes}, "architectures": ["LlamaForCausalLM"],
  "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "initializer_range": 0.02,
  "max_position_embeddings": 2048, "model_type": "llama", "pad_token_id": 0, ${rest}, "rms_norm_eps": 1e-05,
  "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float16",
  "transformers_version": "4.31.0.dev0", "use_cache": true, "vocab_size": 32000,
  "context_window_size": 2048, "prefill_chunk_size": 2048}`;

const LLAMA2_7B = llama2(
  `"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_hidden_layers": 32,
  "num_key_value_heads": 32`,
  `"pretraining_tp": 1`,
);

/** Configs of the text models that configs name without repeating them. */
const NAMED_TEXTS: ReadonlyMap<string, string> = new Map([
  ["meta-llama/Llama-2-7b-hf", LLAMA2_7B],
  ["lmsys/vicuna-7b-v1.5", LLAMA2_7B],
  [
    "meta-llama/Llama-2-13b-hf",
    llama2(
      `"_name_or_path": "meta-llama/Llama-2-13b-hf", "hidden_size": 5120, "intermediate_size": 13824,
      "num_attention_heads": 40, "num_hidden_layers": 40, "num_key_value_heads": 40`,
      `"pretraining_tp": 2`,
    ),
  ],
  [
    "mistralai/Mistral-7B-v0.1",
    `{"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
    "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
    "max_position_embeddings": 32768, "model_type": "mistral", "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.34.0.dev0",
    "use_cache": true, "vocab_size": 32000, "sliding_window_size": 4096, "prefill_chunk_size": 128,
    "attention_sink_size": 4}`,
  ],
]);

/**
 * Fills `text_config` in. Upstream asks the network for the config of a text model that is only named;
 * here four names are known, and any other config must be complete by itself.
 */
const deriveText: Rule = (draft) => {
  const given = draft.object("text_config");
  const name = given.get("_name_or_path");
  const known = typeof name === "string" ? NAMED_TEXTS.get(name) : undefined;
  const config = known === undefined ? mergeExtraKeys(given) : updated(given, known);
  if (name !== undefined) adoptClass(draft, config);
  const textClass = textClassOf(draft);
  const incomplete = name !== undefined && known === undefined;
  const derive = incomplete ? deriveOwnText : deriveNested;
  draft.set("text_config", derive(draft, "text_config", textClass, config));
};

function textClassOf(draft: Draft): ConfigClass {
  const name = draft.text("text_architecture");
  const found = TEXT_CLASSES.get(name);
  if (found !== undefined) return found;
  throw draft.problem(
    `text_architecture must be one of ${[...TEXT_CLASSES.keys()].join(", ")}, found "${name}"`,
  );
}

function updated(given: JsonObject, known: string): JsonObject {
  const config = parseJson(known);
  return new Map<string, Json>(isObject(config) ? [...given, ...config] : given);
}

function adoptClass(draft: Draft, config: JsonObject): void {
  const classes = config.get("architectures");
  const only = isArray(classes) && classes.length === 1 ? classes[0] : undefined;
  if (typeof only === "string") draft.set("text_architecture", only);
}

const deriveOwnText: typeof deriveNested = (draft, name, textClass, config) => {
  try {
    return deriveNested(draft, name, textClass, config);
  } catch (cause) {
    const model = spell(config.get("_name_or_path"));
    throw new PlanError(
      "E_TEXT_CONFIG",
      `${draft.where}.${name} names the text model ${model} but does not describe it`,
      { hint: `copy the text model's config.json into ${name}`, cause },
    );
  }
};

const deriveVision: Rule = (draft) => {
  const config = mergeExtraKeys(draft.object("vision_config"));
  draft.set("vision_config", deriveNested(draft, "vision_config", clipConfig, config));
};

const sizesOfText: Rule = (draft) => {
  const inner = draft.object("text_config");
  for (const name of ["context_window_size", "sliding_window_size", "prefill_chunk_size"]) {
    const value = inner.get(name);
    if (draft.integer(name) <= 0 && value !== undefined) draft.set(name, value);
  }
};

const llavaConfig: ConfigClass = {
  name: "LlavaConfig",
  fields: [
    integer("image_token_index"),
    object("text_config"),
    object("vision_config"),
    integer("vocab_size"),
    integer("context_window_size", -1),
    integer("sliding_window_size", -1),
    integer("prefill_chunk_size", -1),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    text("text_architecture", "LlamaForCausalLM"),
    EXTRA_KEYS,
  ],
  rules: [deriveVision, deriveText, sizesOfText],
};

const ROOT = "language_model.model";

/** A CLIP tower, kept unquantized, a projection of two layers, and a text model under its own name. */
export const architecture: Architecture = defineArchitecture({
  key: "llava",
  classes: ["LlavaForConditionalGeneration"],
  config: llavaConfig,
  schemeKinds: ["no-quant", "group-quant"],
  constraints: [(fields) => wholeHeads()(fields.nested("text_config"))],
  ignores: (fields) => {
    const layers = fields.nested("text_config").integer("num_hidden_layers");
    return perLayer(`${ROOT}.layers`, layers, "self_attn.rotary_emb.inv_freq");
  },
  table: (fields) => {
    const inner = fields.nested("text_config");
    const sizes = decoderSizes(inner);
    const { hidden } = sizes;
    const tower = fields.nested("vision_config");
    const tied = inner.get("tie_word_embeddings") === true;
    const project = (index: number, inputs: number) => [
      linear(`multi_modal_projector.linear_${index}.weight`, [hidden, inputs]),
      bias(`multi_modal_projector.linear_${index}.bias`, [hidden]),
    ];
    return [
      ...clipTower("vision_tower.vision_model", tower),
      ...project(1, tower.integer("hidden_size")),
      ...project(2, hidden),
      embedding(`${ROOT}.embed_tokens.weight`, [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`${ROOT}.layers.${i}.self_attn`, sizes),
        outputProjection(`${ROOT}.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`${ROOT}.layers.${i}.mlp`, sizes),
        norm(`${ROOT}.layers.${i}.input_layernorm.weight`, [hidden]),
        norm(`${ROOT}.layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      norm(`${ROOT}.norm.weight`, [hidden]),
      ...when(!tied, linear("language_model.lm_head.weight", [ANY_VOCAB, hidden])),
    ];
  },
});
