import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, nullable, number, type Rule } from "../config-class.ts";
import { context, groupedQuery, headDim, keyValueHeads, ropeBase } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS, rotaryFrequencies } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { eachLayer, embedding, linear, norm } from "../table.ts";

/** `sliding_window_size` 0: the extra key `sliding_window`; null and absent mean none, written -1. */
const slidingWindow: Rule = (draft) => {
  if (draft.isZero("sliding_window_size"))
    draft.set("sliding_window_size", draft.take("sliding_window") ?? -1);
  if (draft.isNull("sliding_window_size")) draft.set("sliding_window_size", -1);
  draft.integer("sliding_window_size");
};

/** A model with a sliding window has no context limit, written -1. */
const slidingContext: Rule = (draft) => {
  if (!draft.isZero("context_window_size")) return;
  if (draft.integer("sliding_window_size") === -1) context()(draft);
  else draft.set("context_window_size", -1);
};

const attentionSink: Rule = (draft) => {
  const size = draft.integer("attention_sink_size");
  if (size < 0) throw draft.problem(`attention_sink_size must not be negative, found ${size}`);
};

/** `prefill_chunk_size` 0: the smallest of window, context and 8192; a given size is not clamped. */
const slidingChunk: Rule = (draft) => {
  if (!draft.isZero("prefill_chunk_size")) return;
  const limits = ["sliding_window_size", "context_window_size"].map((name) => draft.integer(name));
  draft.set("prefill_chunk_size", Math.min(...limits.filter((limit) => limit !== -1), 8192));
};

/** From the sliding window on. */
export const slidingRules: readonly Rule[] = [
  slidingWindow,
  slidingContext,
  keyValueHeads,
  headDim(),
  groupedQuery(),
  attentionSink,
  slidingChunk,
];

export const mistralConfig: ConfigClass = {
  name: "MistralConfig",
  fields: [
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    number("rms_norm_eps"),
    integer("vocab_size"),
    number("position_embedding_base", 0),
    integer("num_key_value_heads", 0),
    integer("head_dim", 0),
    integer("context_window_size", 0),
    nullable(integer("sliding_window_size", 0)),
    integer("prefill_chunk_size", 0),
    integer("attention_sink_size", 4),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [ropeBase, ...slidingRules],
};

export const architecture: Architecture = defineArchitecture({
  key: "mistral",
  awqByRule: true,
  classes: ["MistralForCausalLM"],
  config: mistralConfig,
  sourceFormats: GGUF_FORMATS,
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
      linear("lm_head.weight", [ANY_VOCAB, hidden]),
    ];
  },
});
