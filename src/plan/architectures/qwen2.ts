import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, flag, integer, number, ropeTheta, text } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { activation } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, gatedFfn, type Naming, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS, rotaryFrequencies } from "../define-architecture.ts";
import { eachLayer, embedding, linear, norm, when } from "../table.ts";

/** The fused projection is called `c_attn` from this family on. */
export const C_ATTN: Naming = { to: "c_attn", shard: "_shard_qkv_weight" };
export const C_ATTN_BIAS: Naming = { to: "c_attn", shard: "_shard_qkv_bias" };

export const qwen2Config: ConfigClass = {
  name: "QWen2Config",
  fields: [
    text("hidden_act"),
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    integer("num_key_value_heads"),
    number("rms_norm_eps"),
    ropeTheta,
    integer("vocab_size"),
    flag("tie_word_embeddings", false),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("head_dim", 0),
    text("dtype", "float32"),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

export const architecture: Architecture = defineArchitecture({
  key: "qwen2",
  awqByRule: true,
  classes: ["Qwen2ForCausalLM"],
  config: qwen2Config,
  sourceFormats: GGUF_FORMATS,
  constraints: [activation()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes, C_ATTN),
        fusedQkvBias(`model.layers.${i}.self_attn`, sizes, C_ATTN_BIAS),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
        norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
        norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
    ];
  },
});
