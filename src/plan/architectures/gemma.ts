import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  flag,
  integer,
  number,
  type Rule,
  text,
} from "../config-class.ts";
import { chunk, context, groupedQuery, ropeBase } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import { spell } from "../field-reader.ts";
import { ANY_VOCAB, type Parameter } from "../parameter.ts";
import { eachLayer, embedding, norm, plusOne } from "../table.ts";

/** `hidden_activation` null: the extra key `hidden_act`. Only gelu can be built. */
export const gemmaActivation: Rule = (draft) => {
  if (draft.isNull("hidden_activation"))
    draft.set("hidden_activation", draft.extra.get("hidden_act") ?? null);
  const value = draft.get("hidden_activation");
  if (value === "gelu" || value === "gelu_pytorch_tanh") return;
  throw draft.problem(`hidden_activation must be gelu or gelu_pytorch_tanh, found ${spell(value)}`);
};

export const noAttentionBias: Rule = (draft) => {
  if (draft.flag("attention_bias")) throw draft.problem("attention_bias must be false");
};

export const gemmaFields: readonly Field[] = [
  integer("hidden_size"),
  integer("intermediate_size"),
  flag("attention_bias"),
  integer("num_attention_heads"),
  integer("num_key_value_heads"),
  integer("head_dim"),
  integer("num_hidden_layers"),
  number("rms_norm_eps"),
  integer("vocab_size"),
  text("hidden_activation", null),
  number("position_embedding_base", 0),
  integer("context_window_size", 0),
  integer("prefill_chunk_size", 0),
  integer("tensor_parallel_shards", 1),
  integer("max_batch_size", 1),
  EXTRA_KEYS,
];

export const gemmaRules: readonly Rule[] = [
  gemmaActivation,
  noAttentionBias,
  ropeBase,
  context(),
  groupedQuery(),
  chunk(8192),
];

export const gemmaConfig: ConfigClass = { name: "GemmaConfig", fields: gemmaFields, rules: gemmaRules };

/** The runtime multiplies by the norm weight as it is, the checkpoint stores it minus one. */
export const gemmaNorm = (name: string, width: number): Parameter =>
  norm(name, [width], { from: plusOne(name, "source") });

/** The head is always the embedding. */
export const architecture: Architecture = defineArchitecture({
  key: "gemma",
  awqByRule: true,
  classes: ["GemmaForCausalLM"],
  config: gemmaConfig,
  sourceFormats: GGUF_FORMATS,
  schemeKinds: ["no-quant", "group-quant"],
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden } = sizes;
    return [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`model.layers.${i}.self_attn`, sizes),
        outputProjection(`model.layers.${i}.self_attn`, sizes),
        ...gatedFfn(`model.layers.${i}.mlp`, sizes),
        gemmaNorm(`model.layers.${i}.input_layernorm.weight`, hidden),
        gemmaNorm(`model.layers.${i}.post_attention_layernorm.weight`, hidden),
      ]),
      gemmaNorm("model.norm.weight", hidden),
    ];
  },
});
