import type { Architecture } from "../architecture.ts";
import {
  anything,
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  flag,
  integer,
  number,
  type Rule,
  text,
} from "../config-class.ts";
import {
  chunk,
  context,
  groupedQuery,
  headDim,
  keyValueHeads,
  pipelineStages,
  ropeBase,
} from "../config-rules.ts";
import { activation, wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, PLAIN_FORMATS, rotaryFrequencies } from "../define-architecture.ts";
import { eachLayer, embedding, linear, when } from "../table.ts";

/** The fields that come first. */
export const olmoHead: readonly Field[] = [
  integer("vocab_size", null),
  integer("hidden_size", null),
  integer("num_attention_heads", null),
  integer("num_key_value_heads", 0),
  integer("head_dim", 0),
  number("position_embedding_base", 0),
  anything("rope_scaling", null),
  integer("intermediate_size", null),
  text("hidden_act", null),
  integer("num_hidden_layers", null),
];

export const olmoTail: readonly Field[] = [
  flag("tie_word_embeddings", false),
  integer("context_window_size", 0),
  integer("prefill_chunk_size", 0),
  integer("tensor_parallel_shards", 1),
  integer("pipeline_parallel_stages", 1),
  integer("max_batch_size", 1),
];

export const olmoRules: readonly Rule[] = [
  keyValueHeads,
  headDim(),
  groupedQuery(),
  ropeBase,
  context(),
  chunk(8192),
  pipelineStages,
];

const clipPositive: Rule = (draft) => {
  if (draft.isNull("clip_qkv") || draft.number("clip_qkv") > 0) return;
  throw draft.problem(`clip_qkv must be null or positive, found ${draft.number("clip_qkv")}`);
};

const olmoConfig: ConfigClass = {
  name: "OLMoConfig",
  fields: [...olmoHead, ...olmoTail, number("clip_qkv", null), EXTRA_KEYS],
  rules: [...olmoRules, clipPositive],
};

/** Its layer norms have no parameters. */
export const architecture: Architecture = defineArchitecture({
  key: "olmo",
  classes: ["OlmoForCausalLM"],
  config: olmoConfig,
  sourceFormats: [...PLAIN_FORMATS, "awq"],
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "awq", "per-tensor-quant"],
  constraints: [wholeHeads(), activation()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
      ]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
    ];
  },
});
