import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, flag, integer, number, text } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { activation, wholeHeads } from "../constraints.ts";
import { fusedQkv, gatedExperts, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { Parameter } from "../parameter.ts";
import { eachLayer, embedding, linear, norm, when } from "../table.ts";

const miniCpmConfig: ConfigClass = {
  name: "MiniCPMConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    text("hidden_act"),
    number("rms_norm_eps"),
    integer("intermediate_size"),
    number("scale_emb"),
    number("scale_depth"),
    number("dim_model_base"),
    anything("use_cache"),
    anything("bos_token_id"),
    anything("eos_token_id"),
    flag("tie_word_embeddings", false),
    number("rope_theta", 10000),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("head_dim", 0),
    integer("max_batch_size", 1),
    integer("num_experts_per_tok", 0),
    integer("num_experts", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(8192)],
};

function mixture(mlp: string, count: number, { hidden, ffn }: DecoderSizes): readonly Parameter[] {
  return [
    linear(`${mlp}.gate.weight`, [count, hidden]),
    ...gatedExperts({
      up: { name: `${mlp}.e1_e3.weight`, shard: "_shard_mlp_up" },
      down: { name: `${mlp}.e2.weight`, shard: "_shard_mlp_down" },
      from: `${mlp}.experts`,
      words: ["w1", "w3", "w2"],
      sizes: { count, hidden, ffn },
    }),
  ];
}

const FUSED = { to: "wqkv_pack", shard: "_shard_qkv_weight" } as const;

/** Dense, or with experts in every layer. */
export const architecture: Architecture = defineArchitecture({
  key: "minicpm",
  awqByRule: true,
  classes: ["MiniCPMForCausalLM"],
  config: miniCpmConfig,
  constraints: [wholeHeads(), activation()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, vocab } = sizes;
    const count = fields.integer("num_experts");
    return [
      embedding("model.embed_tokens.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `model.layers.${i}`;
        return [
          fusedQkv(`${layer}.self_attn`, sizes, FUSED),
          outputProjection(`${layer}.self_attn`, sizes),
          ...(count === 0 ? gatedFfn(`${layer}.mlp`, sizes) : mixture(`${layer}.mlp`, count, sizes)),
          norm(`${layer}.input_layernorm.weight`, [hidden]),
          norm(`${layer}.post_attention_layernorm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
    ];
  },
});
