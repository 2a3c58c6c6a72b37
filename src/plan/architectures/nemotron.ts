import { Float } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, flag, integer, number, type Rule } from "../config-class.ts";
import { chunk, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, rotaryFrequencies } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear, when } from "../table.ts";

const contextIsPositions: Rule = (draft) => {
  if (draft.isZero("context_window_size")) {
    draft.set("context_window_size", draft.integer("max_position_embeddings"));
  }
};

const nemotronConfig: ConfigClass = {
  name: "NemotronConfig",
  fields: [
    integer("vocab_size"),
    integer("max_position_embeddings"),
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    number("rope_theta", 10000),
    number("partial_rotary_factor", new Float(0.5)),
    anything("rope_scaling", null),
    number("norm_eps", new Float(1e-5)),
    integer("head_dim", 0),
    flag("tie_word_embeddings", false),
    flag("mlp_bias", false),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("pipeline_parallel_stages", 1),
    integer("max_batch_size", 1),
    flag("disaggregation", false),
    EXTRA_KEYS,
  ],
  rules: [contextIsPositions, headDim(), headDimFills(), chunk(8192)],
};

/** The runtime adds 1 to the norm weights by itself, so they are kept as they are. */
export const architecture: Architecture = defineArchitecture({
  key: "nemotron",
  awqByRule: true,
  classes: ["NemotronForCausalLM"],
  config: nemotronConfig,
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "per-tensor-quant"],
  constraints: [wholeHeads()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden } = sizes;
    const ffn = fields.integer("intermediate_size");
    return [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const [layer, mlp] = [`model.layers.${i}`, `model.layers.${i}.mlp`];
        return [
          fusedQkv(`${layer}.self_attn`, sizes),
          outputProjection(`${layer}.self_attn`, sizes),
          linear(`${mlp}.up_proj.weight`, [ffn, hidden], { shard: cut("_shard_mlp_up", 1) }),
          linear(`${mlp}.down_proj.weight`, [hidden, ffn], { shard: cut("_shard_mlp_down", 1) }),
          ...when(
            fields.flag("mlp_bias"),
            bias(`${mlp}.up_proj.bias`, [ffn]),
            bias(`${mlp}.down_proj.bias`, [hidden]),
          ),
          ...layerNorm(`${layer}.input_layernorm`, hidden),
          ...layerNorm(`${layer}.post_attention_layernorm`, hidden),
        ];
      }),
      ...layerNorm("model.norm", hidden),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [ANY_VOCAB, hidden])),
    ];
  },
});
