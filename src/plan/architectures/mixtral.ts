import type { Architecture } from "../architecture.ts";
import { type ConfigClass, integer } from "../config-class.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedExperts, outputProjection } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS, rotaryFrequencies } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { eachLayer, embedding, linear, norm, when } from "../table.ts";
import { llamaFields, llamaRules } from "./llama.ts";

const mixtralConfig: ConfigClass = {
  name: "MixtralConfig",
  fields: [...llamaFields, integer("num_local_experts", 0), integer("num_experts_per_tok", 0)],
  rules: llamaRules,
};

export const architecture: Architecture = defineArchitecture({
  key: "mixtral",
  classes: ["MixtralForCausalLM"],
  config: mixtralConfig,
  sourceFormats: GGUF_FORMATS,
  schemeKinds: ["no-quant", "group-quant", "ft-quant", "per-tensor-quant"],
  constraints: [wholeHeads()],
  ignores: rotaryFrequencies,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, ffn } = sizes;
    const count = fields.integer("num_local_experts");
    return [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `model.layers.${i}`;
        return [
          fusedQkv(`${layer}.self_attn`, sizes),
          outputProjection(`${layer}.self_attn`, sizes),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
          linear(`${layer}.moe.gate.weight`, [count, hidden], {
            from: `${layer}.block_sparse_moe.gate.weight`,
          }),
          ...gatedExperts({
            up: { name: `${layer}.moe.e1_e3.weight`, shard: "_shard_mlp_up" },
            down: { name: `${layer}.moe.e2.weight`, shard: "_shard_mlp_down" },
            from: `${layer}.block_sparse_moe.experts`,
            words: ["w1", "w3", "w2"],
            sizes: { count, hidden, ffn },
          }),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [ANY_VOCAB, hidden])),
    ];
  },
});
