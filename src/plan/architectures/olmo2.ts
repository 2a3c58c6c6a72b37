import { Float } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, number } from "../config-class.ts";
import { activation, wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, rotaryFrequencies } from "../define-architecture.ts";
import { eachLayer, embedding, linear, norm, when } from "../table.ts";
import { olmoHead, olmoRules, olmoTail } from "./olmo.ts";

const olmo2Config: ConfigClass = {
  name: "OLMo2Config",
  fields: [...olmoHead, number("rms_norm_eps", new Float(1e-5)), ...olmoTail, EXTRA_KEYS],
  rules: olmoRules,
};

/** Norms come after attention and feed-forward network, and over all query (and key) rows at once. */
export const architecture: Architecture = defineArchitecture({
  key: "olmo2",
  awqByRule: true,
  classes: ["Olmo2ForCausalLM"],
  config: olmo2Config,
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "per-tensor-quant"],
  constraints: [wholeHeads(), activation()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab, q, kv } = sizes;
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `model.layers.${i}`;
        return [
          fusedQkv(`${layer}.self_attn`, sizes),
          outputProjection(`${layer}.self_attn`, sizes),
          norm(`${layer}.self_attn.q_norm.weight`, [q]),
          norm(`${layer}.self_attn.k_norm.weight`, [kv]),
          ...gatedFfn(`${layer}.mlp`, sizes),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
          norm(`${layer}.post_feedforward_layernorm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
    ];
  },
});
