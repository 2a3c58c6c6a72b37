import { isObject } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  anything,
  type ConfigClass,
  EXTRA_KEYS,
  flag,
  integer,
  list,
  number,
  object,
  type Rule,
  ropeTheta,
  text,
} from "../config-class.ts";
import { chunk, context, groupedQuery } from "../config-rules.ts";
import { type Constraint, oneOf } from "../constraints.ts";
import { gatedExperts, gatedFfn } from "../decoder-parts.ts";
import { perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { dynamicBlockScale } from "../fp8-config.ts";
import type { Parameter } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, linear, norm, raw, source, when } from "../table.ts";

/** The weights do not depend on it, but upstream's compiler takes only the form with `type` "yarn". */
const ropeScalingNotice: Rule = (draft) => {
  const scaling = draft.get("rope_scaling");
  if (isObject(scaling) && scaling.get("rope_type") !== "yarn") return;
  draft.notice(
    'upstream cannot compile this config: rope_scaling must be an object with type "yarn" and no rope_type',
  );
};

export const deepseekV2Config: ConfigClass = {
  name: "DeepseekV2Config",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("moe_intermediate_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    integer("n_shared_experts"),
    integer("n_routed_experts"),
    integer("num_experts_per_tok"),
    anything("norm_topk_prob"),
    integer("first_k_dense_replace"),
    integer("moe_layer_freq"),
    number("routed_scaling_factor"),
    text("scoring_func"),
    text("topk_method"),
    anything("n_group"),
    anything("topk_group"),
    flag("attention_bias"),
    integer("kv_lora_rank"),
    integer("qk_rope_head_dim"),
    integer("v_head_dim"),
    integer("qk_nope_head_dim"),
    number("rms_norm_eps"),
    ropeTheta,
    integer("q_lora_rank", null),
    object("rope_scaling", null),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    text("dtype", "float32"),
    integer("max_batch_size", 1),
    list("weight_block_size", null),
    EXTRA_KEYS,
  ],
  rules: [dynamicBlockScale, context(), groupedQuery(), chunk(2048), ropeScalingNotice],
};

export const deepseekV2Constraints: readonly Constraint[] = [
  oneOf("scoring_func", ["softmax", "sigmoid"]),
  oneOf("topk_method", ["greedy", "group_limited_greedy", "noaux_tc"]),
];

/** Sizes of multi-head latent attention. */
interface LatentSizes {
  readonly hidden: number;
  /** Query heads, per worker. */
  readonly heads: number;
  /** Heads in `kv_b_proj` as stored. */
  readonly kvHeads: number;
  /** Width of a key head without and with rotary embedding, and of a value head. */
  readonly nope: number;
  readonly rope: number;
  readonly value: number;
  /** Width of the latent. */
  readonly rank: number;
}

function latentSizes(fields: FieldReader): LatentSizes {
  return {
    hidden: fields.integer("hidden_size"),
    heads: perWorker(fields, "num_attention_heads", fields.integer("tensor_parallel_shards")),
    kvHeads: fields.integer("num_key_value_heads"),
    nope: fields.integer("qk_nope_head_dim"),
    rope: fields.integer("qk_rope_head_dim"),
    value: fields.integer("v_head_dim"),
    rank: fields.integer("kv_lora_rank"),
  };
}

function queries(at: string, sizes: LatentSizes, fields: FieldReader): readonly Parameter[] {
  const rows = sizes.heads * (sizes.nope + sizes.rope);
  if (fields.isNull("q_lora_rank")) {
    return [linear(`${at}.q_proj.weight`, [rows, sizes.hidden], { shard: cut("_shard_q_weight", 0) })];
  }
  const rank = fields.integer("q_lora_rank");
  return [
    linear(`${at}.q_a_proj.weight`, [rank, sizes.hidden]),
    ...when(fields.flag("attention_bias"), bias(`${at}.q_a_proj.bias`, [rank])),
    norm(`${at}.q_a_layernorm.weight`, [rank]),
    linear(`${at}.q_b_proj.weight`, [rows, rank], { shard: cut("_shard_q_b_weight", 0) }),
  ];
}

/**
 * `kv_b_proj` [heads (nope + value), rank] is kept, and also split by heads into `w_uk` [heads, rank, nope]
 * and `w_uv` [heads, value, rank], which the runtime multiplies into queries and results.
 */
function keysAndValues(at: string, sizes: LatentSizes): readonly Parameter[] {
  const { heads, kvHeads, nope, value, rank } = sizes;
  const stored = `${at}.kv_b_proj.weight`;
  const byHead = { op: "reshape", of: source(stored), shape: [kvHeads, nope + value, rank] } as const;
  const keys = { op: "slice", of: byHead, axis: 1, start: 0, end: nope } as const;
  return [
    raw(`${at}.w_uk`, [heads, rank, nope], {
      from: { op: "permute", of: keys, axes: [0, 2, 1] },
      shard: cut("_shard_kv_b_weight_w_uk", 0),
    }),
    raw(`${at}.w_uv`, [heads, value, rank], {
      from: { op: "slice", of: byHead, axis: 1, start: nope, end: nope + value },
      shard: cut("_shard_kv_b_weight_w_uv", 0),
    }),
    linear(stored, [heads * (nope + value), rank], { shard: cut("_shard_kv_b_weight", 0) }),
  ];
}

function attention(at: string, fields: FieldReader): readonly Parameter[] {
  const sizes = latentSizes(fields);
  const { hidden, heads, rope, value, rank } = sizes;
  const withBias = fields.flag("attention_bias");
  return [
    ...queries(at, sizes, fields),
    linear(`${at}.kv_a_proj_with_mqa.weight`, [rank + rope, hidden]),
    ...when(withBias, bias(`${at}.kv_a_proj_with_mqa.bias`, [rank + rope])),
    norm(`${at}.kv_a_layernorm.weight`, [rank]),
    ...keysAndValues(at, sizes),
    linear(`${at}.o_proj.weight`, [hidden, heads * value], { shard: cut("_shard_o", 1) }),
    ...when(withBias, bias(`${at}.o_proj.bias`, [hidden])),
  ];
}

function mixture(at: string, fields: FieldReader): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const count = fields.integer("n_routed_experts");
  const ffn = perWorker(fields, "moe_intermediate_size", fields.integer("tensor_parallel_shards"));
  const corrected = fields.get("topk_method") === "noaux_tc";
  return [
    linear(`${at}.gate.weight`, [count, hidden], { float32Output: true }),
    ...when(
      corrected,
      raw(`${at}.e_score_correction_bias`, [count], {
        from: `${at}.gate.e_score_correction_bias`,
        dtype: "float32",
      }),
    ),
    ...gatedExperts({
      up: { name: `${at}.moe_gate_up_proj.weight`, shard: "_shard_moe_gate_up" },
      down: { name: `${at}.moe_down_proj.weight`, shard: "_shard_moe_mlp_down" },
      from: `${at}.experts`,
      words: ["gate_proj", "up_proj", "down_proj"],
      sizes: { count, hidden, ffn },
    }),
    ...gatedFfn(
      `${at}.shared_experts`,
      { hidden, ffn: ffn * fields.integer("n_shared_experts") },
      { up: "_shard_shared_experts_gate_up", down: "_shard_shared_experts_down" },
    ),
  ];
}

/** True for a layer with experts. */
export function hasExperts(fields: FieldReader, layer: number): boolean {
  return layer >= fields.integer("first_k_dense_replace") && layer % fields.integer("moe_layer_freq") === 0;
}

export function deepseekV2Table(fields: FieldReader): readonly Parameter[] {
  const [hidden, vocab] = [fields.integer("hidden_size"), fields.integer("vocab_size")];
  const ffn = perWorker(fields, "intermediate_size", fields.integer("tensor_parallel_shards"));
  return [
    embedding("model.embed_tokens.weight", [vocab, hidden]),
    ...eachLayer(fields.integer("num_hidden_layers"), (i) => {
      const layer = `model.layers.${i}`;
      return [
        ...attention(`${layer}.self_attn`, fields),
        ...(hasExperts(fields, i)
          ? mixture(`${layer}.mlp`, fields)
          : gatedFfn(`${layer}.mlp`, { hidden, ffn }, { up: "_shard_gate_up", down: "_shard_down" })),
        norm(`${layer}.input_layernorm.weight`, [hidden]),
        norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
      ];
    }),
    norm("model.norm.weight", [hidden]),
    linear("lm_head.weight", [vocab, hidden]),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "deepseek_v2",
  classes: ["DeepseekV2ForCausalLM"],
  schemeHints: {
    "block-scale-quant": "fp8 checkpoints of this family are converted with --model-type deepseek_v3",
  },
  config: deepseekV2Config,
  constraints: deepseekV2Constraints,
  table: deepseekV2Table,
});
