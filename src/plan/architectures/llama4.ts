import { Float, isArray, type Json } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  Draft,
  deriveNested,
  EXTRA_KEYS,
  flag,
  integer,
  list,
  mergeExtraKeys,
  number,
  object,
  type Rule,
  ropeTheta,
  text,
} from "../config-class.ts";
import { chunk, groupedQuery, headDim, keyValueHeads, llama3Scaling } from "../config-rules.ts";
import { activation, type Constraint, wholeHeads } from "../constraints.ts";
import { outputProjection } from "../decoder-parts.ts";
import { decoderSizes, perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { ANY_VOCAB, type Parameter } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, joined, linear, norm, raw, renameSources, when } from "../table.ts";

const fixedRopeBase: Rule = (draft) => {
  if (draft.isZero("position_embedding_base")) draft.set("position_embedding_base", 10000);
};

/** 1 for a layer with rotary embedding; without a list every n-th layer has none. */
const ropeLayers: Rule = (draft) => {
  const given = draft.get("no_rope_layers");
  if (isArray(given) && given.length > 0) return;
  const interval = draft.integer("no_rope_layer_interval");
  const layers = draft.integer("num_hidden_layers");
  draft.set(
    "no_rope_layers",
    Array.from({ length: layers }, (_, i) => ((i + 1) % interval === 0 ? 0 : 1)),
  );
};

/** Without a list every n-th layer has experts, n being `interleave_moe_layer_step`. */
const expertLayers: Rule = (draft) => {
  if (!draft.isNull("moe_layers")) return;
  const step = draft.integer("interleave_moe_layer_step");
  if (step <= 0) throw draft.problem(`interleave_moe_layer_step must be positive, found ${step}`);
  const layers: Json[] = [];
  for (let i = step - 1; i < draft.integer("num_hidden_layers"); i += step) layers.push(i);
  draft.set("moe_layers", layers);
};

const textConfig: ConfigClass = {
  name: "Llama4TextConfig",
  fields: [
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    number("rms_norm_eps"),
    ropeTheta,
    flag("use_qk_norm"),
    integer("interleave_moe_layer_step"),
    integer("num_experts_per_tok"),
    integer("num_local_experts"),
    text("hidden_act"),
    flag("tie_word_embeddings", false),
    number("position_embedding_base", 0),
    object("rope_scaling", null),
    integer("num_key_value_heads", 0),
    integer("head_dim", 0),
    number("attn_scale", new Float(0.1)),
    number("floor_scale", 8192),
    integer("vocab_size", 202048),
    flag("attention_bias", false),
    { ...flag("attn_temperature_tuning", true), kind: "any" },
    list("no_rope_layers", null),
    integer("no_rope_layer_interval", 4),
    list("moe_layers", null),
    EXTRA_KEYS,
  ],
  rules: [fixedRopeBase, llama3Scaling, ropeLayers, expertLayers],
};

const deriveText: Rule = (draft) => {
  const inner = deriveNested(draft, "text_config", textConfig, mergeExtraKeys(draft.object("text_config")));
  const heads = new Draft(`${draft.where}.text_config`, new Map(inner), new Map());
  for (const rule of [keyValueHeads, headDim(), groupedQuery()]) rule(heads);
  draft.set("text_config", heads.fields);
};

/** A constant; the config's own limit is not read. */
const constantContext: Rule = (draft) => {
  if (draft.isZero("context_window_size")) draft.set("context_window_size", 131072);
};

const llama4Config: ConfigClass = {
  name: "Llama4Config",
  fields: [
    object("text_config"),
    integer("tensor_parallel_shards", 1),
    integer("context_window_size", 0),
    integer("pipeline_parallel_stages", 1),
    integer("prefill_chunk_size", 0),
    integer("max_batch_size", 1),
    flag("disaggregation", false),
    integer("vocab_size", 202048),
    EXTRA_KEYS,
  ],
  rules: [deriveText, constantContext, chunk(8192)],
};

const ropeScalingGiven: Constraint = (fields) => {
  if (fields.nested("text_config").isNull("rope_scaling")) {
    throw fields.problem(
      "text_config.rope_scaling must be given: the runtime cannot build the model without it",
    );
  }
};

const noDenseLayer: Constraint = (fields) => {
  const inner = fields.nested("text_config");
  const listed = inner.get("moe_layers");
  const layers = Array.from({ length: inner.integer("num_hidden_layers") }, (_, i) => i);
  const dense = layers.filter((i) => !isArray(listed) || !listed.includes(i));
  if (dense.length === 0) return;
  throw fields.problem(
    `layers without experts are not supported (layer ${dense.slice(0, 5).join(", ")}${dense.length > 5 ? ", ..." : ""})`,
    "the runtime expects another width for such layers, so no conversion of this model can work",
  );
};

function attention(
  at: string,
  sizes: ReturnType<typeof decoderSizes>,
  withBias: boolean,
): readonly Parameter[] {
  const { hidden, q, kv } = sizes;
  return [
    linear(`${at}.q_proj.weight`, [q, hidden], { shard: cut("_shard_q", 0) }),
    linear(`${at}.k_proj.weight`, [kv, hidden], { shard: cut("_shard_k", 0) }),
    linear(`${at}.v_proj.weight`, [kv, hidden], { shard: cut("_shard_v", 0) }),
    outputProjection(at, sizes),
    ...when(
      withBias,
      bias(`${at}.q_proj.bias`, [q]),
      bias(`${at}.k_proj.bias`, [kv]),
      bias(`${at}.v_proj.bias`, [kv]),
      bias(`${at}.o_proj.bias`, [hidden]),
    ),
  ];
}

/** The experts are stored stacked and transposed already, as bare parameters that no scheme quantizes. */
function experts(
  at: string,
  count: number,
  { hidden, ffn }: { hidden: number; ffn: number },
): readonly Parameter[] {
  return [
    raw(`${at}.experts.gate_up_proj`, [count, hidden, 2 * ffn], {
      shard: cut("_shard_expert_mlp_up", 2, [ffn, ffn]),
    }),
    raw(`${at}.experts.down_proj`, [count, ffn, hidden], { shard: cut("_shard_expert_mlp_down", 1) }),
    linear(`${at}.shared_expert.gate_up_proj.weight`, [2 * ffn, hidden], {
      from: joined(`${at}.shared_expert.*.weight`, ["gate_proj", "up_proj"]),
      shard: cut("_shard_mlp_up", 0, [ffn, ffn]),
    }),
    linear(`${at}.shared_expert.down_proj.weight`, [hidden, ffn], { shard: cut("_shard_mlp_down", 1) }),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "llama4",
  classes: ["Llama4ForConditionalGeneration"],
  config: llama4Config,
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "per-tensor-quant"],
  constraints: [
    ropeScalingGiven,
    noDenseLayer,
    (fields) => wholeHeads()(fields.nested("text_config")),
    (fields) => activation()(fields.nested("text_config")),
  ],
  table: (fields) => {
    const inner = fields.nested("text_config");
    const sizes = decoderSizes(inner, {}, fields.integer("tensor_parallel_shards"));
    const { hidden, shards } = sizes;
    const count = inner.integer("num_local_experts");
    const routed = perWorker(inner, "num_local_experts", shards);
    const parameters = [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `model.layers.${i}`;
        return [
          ...attention(`${layer}.self_attn`, sizes, inner.flag("attention_bias")),
          linear(`${layer}.feed_forward.router.router.weight`, [routed, hidden], {
            from: `${layer}.feed_forward.router.weight`,
            shard: cut("_shard_router", 0),
          }),
          ...experts(`${layer}.feed_forward`, count, sizes),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      ...when(!inner.flag("tie_word_embeddings"), linear("lm_head.weight", [ANY_VOCAB, hidden])),
    ];
    return renameSources(parameters, (name) => `language_model.${name}`);
  },
});
