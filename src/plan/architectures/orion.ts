import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, number } from "../config-class.ts";
import {
  chunk,
  context,
  groupedQuery,
  headDim,
  headDimFills,
  keyValueHeads,
  ropeBase,
} from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, rotaryFrequencies } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { eachLayer, embedding, layerNorm, linear } from "../table.ts";

const orionConfig: ConfigClass = {
  name: "OrionConfig",
  fields: [
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    number("rms_norm_eps"),
    integer("vocab_size"),
    number("position_embedding_base", 0),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("num_key_value_heads", 0),
    integer("head_dim", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [ropeBase, context(), keyValueHeads, headDim(), headDimFills(), groupedQuery(), chunk(8192)],
};

/** A decoder of the usual kind, but with layer norms that have a bias. */
export const architecture: Architecture = defineArchitecture({
  key: "orion",
  awqByRule: true,
  classes: ["OrionForCausalLM"],
  config: orionConfig,
  schemeKinds: ["no-quant", "group-quant"],
  constraints: [wholeHeads()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden } = sizes;
    return [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
        ...layerNorm(`model.layers.${i}.input_layernorm`, hidden),
        ...layerNorm(`model.layers.${i}.post_attention_layernorm`, hidden),
      ]),
      ...layerNorm("model.norm", hidden),
      linear("lm_head.weight", [ANY_VOCAB, hidden]),
    ];
  },
});
