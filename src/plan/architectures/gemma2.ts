import type { Architecture } from "../architecture.ts";
import { type ConfigClass, integer, number, type Rule } from "../config-class.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { eachLayer, embedding } from "../table.ts";
import { gemmaFields, gemmaNorm, gemmaRules } from "./gemma.ts";

/** Runs last, so the first derivation clamps the chunk with the full context and the second with the window. */
const contextIsWindow: Rule = (draft) => draft.set("context_window_size", draft.integer("sliding_window"));

export const gemma2Config: ConfigClass = {
  name: "Gemma2Config",
  fields: [
    ...gemmaFields,
    number("attn_logit_softcapping", null),
    number("final_logit_softcapping", null),
    number("query_pre_attn_scalar", null),
    integer("sliding_window", null),
  ],
  rules: [...gemmaRules, contextIsWindow],
};

export const architecture: Architecture = defineArchitecture({
  key: "gemma2",
  awqByRule: true,
  classes: ["Gemma2ForCausalLM"],
  config: gemma2Config,
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
        gemmaNorm(`model.layers.${i}.pre_feedforward_layernorm.weight`, hidden),
        gemmaNorm(`model.layers.${i}.post_feedforward_layernorm.weight`, hidden),
      ]),
      gemmaNorm("model.norm.weight", hidden),
    ];
  },
});
