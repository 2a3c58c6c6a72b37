import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, flag, integer, number, ropeTheta } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { eachLayer, embedding, layerNorm, linear, when } from "../table.ts";

const stableLmConfig: ConfigClass = {
  name: "StableLmConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    number("layer_norm_eps"),
    number("partial_rotary_factor"),
    ropeTheta,
    integer("intermediate_size"),
    flag("use_qkv_bias", false),
    integer("head_dim", 0),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

const FUSED = { to: "qkv_proj", shard: "_shard_qkv_weight" } as const;
const FUSED_BIAS = { to: "qkv_proj", shard: "_shard_qkv_bias" } as const;

export const architecture: Architecture = defineArchitecture({
  key: "stablelm",
  awqByRule: true,
  classes: ["StableLmForCausalLM"],
  config: stableLmConfig,
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes, FUSED),
        ...when(fields.flag("use_qkv_bias"), fusedQkvBias(`model.layers.${i}.self_attn`, sizes, FUSED_BIAS)),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
        ...layerNorm(`model.layers.${i}.input_layernorm`, hidden),
        ...layerNorm(`model.layers.${i}.post_attention_layernorm`, hidden),
      ]),
      ...layerNorm("model.norm", hidden),
      linear("lm_head.weight", [vocab, hidden]),
    ];
  },
});
