import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, flag, integer, number } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { fusedQkv, fusedQkvBias, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, rotaryFrequencies } from "../define-architecture.ts";
import { bias, cut, eachLayer, embedding, linear, norm, when } from "../table.ts";

const internLmConfig: ConfigClass = {
  name: "InternLMConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    number("rms_norm_eps"),
    integer("intermediate_size"),
    flag("bias"),
    anything("use_cache"),
    anything("pad_token_id"),
    anything("bos_token_id"),
    anything("eos_token_id"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("head_dim", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

const FUSED = { to: "wqkv_pack", shard: "_shard_qkv_weight" } as const;
const FUSED_BIAS = { to: "wqkv_pack", shard: "_shard_qkv_bias" } as const;

export const architecture: Architecture = defineArchitecture({
  key: "internlm",
  awqByRule: true,
  classes: ["InternLMForCausalLM"],
  config: internLmConfig,
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields, { kvHeads: "num_attention_heads" });
    const { hidden, vocab } = sizes;
    const cuts = { up: "_shard_mlp_gate_up", down: "_shard_mlp_down_proj" };
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const attention = `model.layers.${i}.self_attn`;
        return [
          fusedQkv(attention, sizes, FUSED),
          outputProjection(attention, sizes, "_shard_o_weight"),
          ...when(
            fields.flag("bias"),
            fusedQkvBias(attention, sizes, FUSED_BIAS),
            bias(`${attention}.o_proj.bias`, [hidden], { shard: cut("_shard_o_bias", 0) }),
          ),
          ...gatedFfn(`model.layers.${i}.mlp`, sizes, cuts),
          norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
          norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
