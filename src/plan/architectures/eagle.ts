import type { Architecture } from "../architecture.ts";
import { type ConfigClass, flag } from "../config-class.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, PLAIN_FORMATS, perLayer } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { bias, eachLayer, embedding, linear, norm, when } from "../table.ts";
import { llamaFields, llamaRules } from "./llama.ts";

const eagleConfig: ConfigClass = {
  name: "EagleConfig",
  fields: [...llamaFields, flag("bias", true)],
  rules: llamaRules,
};

/** A draft model for speculative decoding: no head, no final norm, no norm before the first layer. */
export const architecture: Architecture = defineArchitecture({
  key: "eagle",
  config: eagleConfig,
  sourceFormats: [...PLAIN_FORMATS, "awq"],
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "awq"],
  constraints: [wholeHeads()],
  ignores: (fields) =>
    perLayer("layers", fields.integer("num_hidden_layers"), "self_attn.rotary_emb.inv_freq"),
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden } = sizes;
    return [
      embedding("embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => [
        fusedQkv(`layers.${i}.self_attn`, sizes),
        outputProjection(`layers.${i}.self_attn`, sizes),
        ...gatedFfn(`layers.${i}.mlp`, sizes),
        ...when(i !== 0, norm(`layers.${i}.input_layernorm.weight`, [hidden])),
        norm(`layers.${i}.post_attention_layernorm.weight`, [hidden]),
      ]),
      linear("fc.weight", [hidden, 2 * hidden]),
      ...when(fields.flag("bias"), bias("fc.bias", [hidden])),
    ];
  },
});
