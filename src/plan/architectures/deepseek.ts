import type { Architecture } from "../architecture.ts";
import {
  anything,
  type ConfigClass,
  EXTRA_KEYS,
  flag,
  integer,
  number,
  type Rule,
  text,
} from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { activation, wholeHeads } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, gatedExperts, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes, perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Parameter } from "../parameter.ts";
import { bias, eachLayer, embedding, joined, linear, norm, when } from "../table.ts";
import { hasExperts } from "./deepseek_v2.ts";

const biasNotice: Rule = (draft) => {
  if (!draft.flag("attention_bias")) return;
  draft.notice("the fused attention bias is joined from its parts, which upstream does not find");
};

const deepseekConfig: ConfigClass = {
  name: "DeepseekConfig",
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
    integer("moe_layer_freq"),
    integer("first_k_dense_replace"),
    text("hidden_act"),
    anything("norm_topk_prob"),
    flag("attention_bias"),
    number("rms_norm_eps"),
    anything("use_cache"),
    anything("bos_token_id"),
    anything("eos_token_id"),
    flag("tie_word_embeddings", false),
    number("rope_theta", 10000),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("head_dim", 0),
    integer("max_batch_size", 1),
    integer("num_experts_per_tok", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192), biasNotice],
};

function mixture(at: string, fields: FieldReader): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const count = fields.integer("n_routed_experts");
  const workers = fields.integer("tensor_parallel_shards");
  const ffn = perWorker(fields, "moe_intermediate_size", workers);
  // The runtime divides the width of the shared experts a second time.
  const shared = Math.floor((ffn * fields.integer("n_shared_experts")) / workers);
  return [
    linear(`${at}.gate.weight`, [count, hidden]),
    ...gatedExperts({
      up: { name: `${at}.moe_gate_up_proj.weight`, shard: "_shard_mlp_up" },
      down: { name: `${at}.moe_down_proj.weight`, shard: "_shard_mlp_down" },
      from: `${at}.experts`,
      words: ["gate_proj", "up_proj", "down_proj"],
      sizes: { count, hidden, ffn },
    }),
    linear(`${at}.shared_experts.gate_up_proj.weight`, [2 * shared, hidden], {
      from: joined(`${at}.shared_experts.*.weight`, ["gate_proj", "up_proj"]),
    }),
    linear(`${at}.shared_experts.down_proj.weight`, [hidden, shared]),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "deepseek",
  classes: ["DeepseekForCausalLM"],
  config: deepseekConfig,
  constraints: [wholeHeads(), activation()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    const fused = { to: "wqkv_pack", shard: "_shard_qkv_weight" } as const;
    const fusedBias = { to: "wqkv_pack", shard: "_shard_qkv_bias" } as const;
    const withBias = fields.flag("attention_bias");
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const [layer, attention] = [`model.layers.${i}`, `model.layers.${i}.self_attn`];
        return [
          fusedQkv(attention, sizes, fused),
          ...when(withBias, fusedQkvBias(attention, sizes, fusedBias)),
          outputProjection(attention, sizes),
          ...when(withBias, bias(`${attention}.o_proj.bias`, [hidden])),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
          ...(hasExperts(fields, i) ? mixture(`${layer}.mlp`, fields) : gatedFfn(`${layer}.mlp`, sizes)),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
