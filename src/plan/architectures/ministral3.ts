import { isArray, isObject, type Json, type JsonObject } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  flag,
  integer,
  list,
  nullable,
  number,
  object,
  type Rule,
  text,
} from "../config-class.ts";
import { ropeThetaOf } from "../config-rules.ts";
import { activation, wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { COMMON_KINDS, defineArchitecture, rotaryFrequencies } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { blockSize, fp8Config, isAwq } from "../fp8-config.ts";
import type { Parameter } from "../parameter.ts";
import { eachLayer, embedding, linear, norm, renameSources, when } from "../table.ts";
import { slidingRules } from "./mistral.ts";

/** The text model's keys win over the wrapper's, but for two. */
function mergeTextConfig(config: JsonObject): JsonObject {
  const inner = config.get("text_config");
  if (!isObject(inner)) return config;
  const merged = new Map<string, Json>([...config, ...inner]);
  merged.delete("text_config");
  for (const key of ["tie_word_embeddings", "dtype"]) {
    const outer = config.get(key);
    if (outer !== undefined) merged.set(key, outer);
  }
  return merged;
}

/** Statically scaled block fp8; a missing block size means 128 by 128. */
const staticBlockScale: Rule = (draft) => {
  const found = draft.extra.get("quantization_config");
  if (found === undefined || isAwq(found)) return;
  const config = fp8Config(draft, { quant_method: "fp8", activation_scheme: "static" });
  draft.set("weight_block_size", blockSize(draft, config) ?? [128, 128]);
  const skipped = config.get("modules_to_not_convert");
  if (isArray(skipped)) draft.set("modules_to_not_convert", skipped);
  draft.take("quantization_config");
};

/** `position_embedding_base` 0: `rope_parameters.rope_theta`, which is removed there, else `rope_theta`, else 10000. */
const ropeFromParameters: Rule = (draft) => {
  const parameters = new Map(draft.isNull("rope_parameters") ? [] : draft.object("rope_parameters"));
  if (!draft.isZero("position_embedding_base")) return;
  const base = parameters.get("rope_theta");
  draft.set("position_embedding_base", base ?? ropeThetaOf(draft) ?? 10000);
  if (!parameters.delete("rope_theta")) return;
  draft.set("rope_parameters", parameters);
};

const ministral3Config: ConfigClass = {
  name: "Ministral3Config",
  prepare: mergeTextConfig,
  fields: [
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    number("rms_norm_eps"),
    integer("vocab_size"),
    integer("attention_sink_size", 0),
    integer("context_window_size", 0),
    text("dtype", "float32"),
    integer("head_dim", 0),
    text("hidden_act", "silu"),
    integer("max_batch_size", 1),
    integer("num_key_value_heads", 0),
    number("position_embedding_base", 0),
    integer("prefill_chunk_size", 0),
    object("rope_parameters", null),
    nullable(integer("sliding_window_size", 0)),
    integer("tensor_parallel_shards", 1),
    flag("tie_word_embeddings", false),
    list("weight_block_size", null),
    EXTRA_KEYS,
    list("modules_to_not_convert", []),
  ],
  rules: [staticBlockScale, ropeFromParameters, ...slidingRules],
};

/** The only module paths of `modules_to_not_convert` that match anything (layers are a list, which no path names). */
const PLAIN_MODULES = ["lm_head", "model", "model.embed_tokens", "model.norm"] as const;

function markPlain(parameters: readonly Parameter[], fields: FieldReader): readonly Parameter[] {
  const listed = fields.get("modules_to_not_convert");
  const modules = PLAIN_MODULES.filter((module) => isArray(listed) && listed.includes(module));
  return parameters.map((one) => {
    const quantizable = one.kind === "linear" || one.kind === "embedding";
    const marked = quantizable && modules.some((module) => one.name.startsWith(`${module}.`));
    return marked ? { ...one, noQuant: true } : one;
  });
}

/** Checkpoints with a vision tower keep the language model under a prefix. */
export const architecture: Architecture = defineArchitecture({
  key: "ministral3",
  awqByRule: true,
  classes: ["Mistral3ForConditionalGeneration", "Ministral3ForCausalLM"],
  config: ministral3Config,
  schemeKinds: [...COMMON_KINDS, "block-scale-quant"],
  looseScales: true,
  recognizes: (config) => {
    const inner = config.get("text_config");
    return (
      config.get("model_type") === "mistral3" && isObject(inner) && inner.get("model_type") === "ministral3"
    );
  },
  constraints: [wholeHeads(), activation()],
  ignores: rotaryFrequencies,
  table: (fields, config) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    const prefix = config.extra.has("vision_config") ? "language_model." : "";
    const parameters = [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
        norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
        norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
    ];
    return renameSources(markPlain(parameters, fields), (name) => prefix + name);
  },
});
