import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, integer } from "../config-class.ts";
import { everyLayerHasExperts } from "../constraints.ts";
import { gatedExperts } from "../decoder-parts.ts";
import { decoderSizes, perWorker } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import { eachLayer, embedding, linear, norm } from "../table.ts";
import { blockScaleKinds, qwen3Attention, qwen3Config, qwen3Constraints } from "./qwen3.ts";

const qwen3MoeConfig: ConfigClass = {
  name: "Qwen3MoeConfig",
  fields: [
    ...qwen3Config.fields,
    integer("moe_intermediate_size", 0),
    integer("num_experts_per_tok", 0),
    integer("num_experts", 0),
    integer("decoder_sparse_step", 0),
    anything("norm_topk_prob", false),
  ],
  rules: qwen3Config.rules,
};

export const architecture: Architecture = defineArchitecture({
  key: "qwen3_moe",
  classes: ["Qwen3MoeForCausalLM"],
  config: qwen3MoeConfig,
  sourceFormats: GGUF_FORMATS,
  schemeKinds: blockScaleKinds,
  constraints: [...qwen3Constraints, everyLayerHasExperts],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    const ffn = perWorker(fields, "moe_intermediate_size", sizes.shards);
    const count = fields.integer("num_experts");
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const [layer, mlp] = [`model.layers.${i}`, `model.layers.${i}.mlp`];
        return [
          ...qwen3Attention(`${layer}.self_attn`, sizes, fields.flag("attention_bias")),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
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
