import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  flag,
  integer,
  number,
  object,
  type Rule,
} from "../config-class.ts";
import {
  chunk,
  context,
  groupedQuery,
  headDim,
  keyValueHeads,
  llama3Scaling,
  pipelineStages,
  ropeBase,
} from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS, rotaryFrequencies } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { eachLayer, embedding, linear, norm, when } from "../table.ts";

export const llamaFields: readonly Field[] = [
  integer("hidden_size"),
  integer("intermediate_size"),
  integer("num_attention_heads"),
  integer("num_hidden_layers"),
  number("rms_norm_eps"),
  integer("vocab_size"),
  flag("tie_word_embeddings", false),
  number("position_embedding_base", 0),
  object("rope_scaling", null),
  integer("context_window_size", 0),
  integer("prefill_chunk_size", 0),
  integer("num_key_value_heads", 0),
  integer("head_dim", 0),
  integer("tensor_parallel_shards", 1),
  integer("pipeline_parallel_stages", 1),
  integer("max_batch_size", 1),
  flag("disaggregation", false),
  EXTRA_KEYS,
];

export const llamaRules: readonly Rule[] = [
  ropeBase,
  llama3Scaling,
  context(),
  pipelineStages,
  keyValueHeads,
  headDim(),
  groupedQuery(),
  chunk(8192),
];

export const llamaConfig: ConfigClass = { name: "LlamaConfig", fields: llamaFields, rules: llamaRules };

export const architecture: Architecture = defineArchitecture({
  key: "llama",
  classes: ["LlamaForCausalLM"],
  config: llamaConfig,
  sourceFormats: [...GGUF_FORMATS, "awq"],
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "awq", "per-tensor-quant"],
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
        norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
        norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [ANY_VOCAB, hidden])),
    ];
  },
});
