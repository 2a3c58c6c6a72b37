import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, integer } from "../config-class.ts";
import { activation, everyLayerHasExperts } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, gatedExperts, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes, perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { eachLayer, embedding, linear, norm } from "../table.ts";
import { C_ATTN, C_ATTN_BIAS, qwen2Config } from "./qwen2.ts";

const qwen2MoeConfig: ConfigClass = {
  name: "Qwen2MoeConfig",
  fields: [
    ...qwen2Config.fields,
    integer("moe_intermediate_size", 0),
    integer("shared_expert_intermediate_size", 0),
    integer("num_experts_per_tok", 0),
    integer("num_experts", 0),
    integer("decoder_sparse_step", 0),
    anything("norm_topk_prob", false),
  ],
  rules: qwen2Config.rules,
};

const SHARED_CUTS = { up: "_shard_shared_mlp_up", down: "_shard_shared_mlp_down" } as const;

export const architecture: Architecture = defineArchitecture({
  key: "qwen2_moe",
  classes: ["Qwen2MoeForCausalLM"],
  config: qwen2MoeConfig,
  constraints: [activation(), everyLayerHasExperts],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab, shards } = sizes;
    const shared = perWorker(fields, "shared_expert_intermediate_size", shards);
    const ffn = perWorker(fields, "moe_intermediate_size", shards);
    const count = fields.integer("num_experts");
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const [layer, mlp] = [`model.layers.${i}`, `model.layers.${i}.mlp`];
        return [
          fusedQkv(`${layer}.self_attn`, sizes, C_ATTN),
          fusedQkvBias(`${layer}.self_attn`, sizes, C_ATTN_BIAS),
          outputProjection(`${layer}.self_attn`, sizes),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
          ...gatedFfn(`${mlp}.shared_expert`, { hidden, ffn: shared }, SHARED_CUTS),
          linear(`${mlp}.shared_expert_gate.weight`, [1, hidden]),
          linear(`${mlp}.gate.weight`, [count, hidden]),
          ...gatedExperts({
            up: { name: `${mlp}.moe_gate_up_proj.weight`, shard: "_shard_moe_mlp_up" },
            down: { name: `${mlp}.moe_down_proj.weight`, shard: "_shard_moe_mlp_down" },
            from: `${mlp}.experts`,
            words: ["gate_proj", "up_proj", "down_proj"],
            sizes: { count, hidden, ffn },
          }),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
