import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, integer, number } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { bias, cut, eachLayer, embedding, joined, linear, norm } from "../table.ts";

const qwenConfig: ConfigClass = {
  name: "QWenConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    number("layer_norm_epsilon"),
    anything("scale_attn_weights"),
    integer("kv_channels"),
    number("rotary_emb_base"),
    integer("intermediate_size"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("head_dim", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

/** `intermediate_size` counts gate and up together; q, k and v are fused in the checkpoint. */
export const architecture: Architecture = defineArchitecture({
  key: "qwen",
  awqByRule: true,
  classes: ["QWenLMHeadModel"],
  config: qwenConfig,
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields, { kvHeads: "num_attention_heads" });
    const { hidden, ffn, q, qkv, vocab } = sizes;
    const half = Math.floor(ffn / 2);
    return [
      embedding("transformer.wte.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `transformer.h.${i}`;
        return [
          linear(`${layer}.attn.c_attn.weight`, [qkv, hidden], { shard: cutQkv("_shard_qkv_weight", sizes) }),
          bias(`${layer}.attn.c_attn.bias`, [qkv], { shard: cutQkv("_shard_qkv_bias", sizes) }),
          linear(`${layer}.attn.c_proj.weight`, [hidden, q], { shard: cut("_shard_attn_c_proj", 1) }),
          linear(`${layer}.mlp.gate_up_proj.weight`, [ffn, hidden], {
            from: joined(`${layer}.mlp.*.weight`, ["w1", "w2"]),
            shard: cut("_shard_mlp_gate_up_proj", 0, [half, half]),
          }),
          linear(`${layer}.mlp.c_proj.weight`, [hidden, half], { shard: cut("_shard_mlp_c_proj", 1) }),
          norm(`${layer}.ln_1.weight`, [hidden]),
          norm(`${layer}.ln_2.weight`, [hidden]),
        ];
      }),
      norm("transformer.ln_f.weight", [hidden]),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
