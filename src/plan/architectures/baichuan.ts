import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, integer, number } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { gatedFfn, outputProjection } from "../decoder-parts.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { eachLayer, embedding, linear, norm } from "../table.ts";

const baichuanConfig: ConfigClass = {
  name: "BaichuanConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    number("initializer_range"),
    integer("intermediate_size"),
    number("rms_norm_eps"),
    anything("use_cache"),
    anything("pad_token_id"),
    anything("bos_token_id"),
    anything("eos_token_id"),
    anything("tie_word_embeddings"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("head_dim", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

/** q, k and v are fused in the checkpoint; the head is never tied, whatever the config says. */
export const architecture: Architecture = defineArchitecture({
  key: "baichuan",
  awqByRule: true,
  classes: ["BaichuanForCausalLM"],
  config: baichuanConfig,
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields, { kvHeads: "num_attention_heads" });
    const { hidden, qkv, vocab } = sizes;
    const cuts = { up: "_shard_mlp_gate_up", down: "_shard_mlp_down_proj" };
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        linear(`model.layers.${i}.self_attn.W_pack.weight`, [qkv, hidden], {
          shard: cutQkv("_shard_qkv_weight", sizes),
        }),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes, cuts),
        norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
        norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      norm("model.norm.weight", [hidden]),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
