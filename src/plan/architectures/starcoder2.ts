import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, flag, integer, number, ropeTheta } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, outputProjection } from "../decoder-parts.ts";
import { type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { Parameter } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear, when } from "../table.ts";

const starcoder2Config: ConfigClass = {
  name: "Starcoder2Config",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    anything("hidden_act"),
    number("norm_epsilon"),
    integer("intermediate_size"),
    ropeTheta,
    flag("use_bias"),
    anything("use_cache"),
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

function layer(at: string, sizes: DecoderSizes, withBias: boolean): readonly Parameter[] {
  const { hidden, ffn } = sizes;
  const [attention, mlp] = [`${at}.self_attn`, `${at}.mlp`];
  return [
    fusedQkv(attention, sizes, FUSED),
    outputProjection(attention, sizes),
    linear(`${mlp}.c_fc.weight`, [ffn, hidden], { shard: cut("_shard_c_fc_weight", 0) }),
    linear(`${mlp}.c_proj.weight`, [hidden, ffn], { shard: cut("_shard_mlp_c_proj", 1) }),
    ...when(
      withBias,
      fusedQkvBias(attention, sizes, FUSED_BIAS),
      bias(`${attention}.o_proj.bias`, [hidden]),
      bias(`${mlp}.c_fc.bias`, [ffn], { shard: cut("_shard_c_fc_bias", 0) }),
      bias(`${mlp}.c_proj.bias`, [hidden], { shard: cut("_shard_mlp_c_proj_bias", 0) }),
    ),
    ...layerNorm(`${at}.input_layernorm`, hidden),
    ...layerNorm(`${at}.post_attention_layernorm`, hidden),
  ];
}

/** The embedding is the head too, whatever the checkpoint holds. */
export const architecture: Architecture = defineArchitecture({
  key: "starcoder2",
  awqByRule: true,
  classes: ["Starcoder2ForCausalLM"],
  config: starcoder2Config,
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    return [
      linear("lm_head.weight", [vocab, hidden], { from: "model.embed_tokens.weight" }),
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => layer(`model.layers.${i}`, sizes, fields.flag("use_bias"))),
      ...layerNorm("model.norm", hidden),
    ];
  },
});
