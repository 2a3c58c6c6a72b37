import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, integer, nullable, number } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { bias, cut, eachLayer, embedding, joined, layerNorm, linear } from "../table.ts";

const HEADS = { hidden: "n_embd", heads: "n_head" } as const;

const gptjConfig: ConfigClass = {
  name: "GPTJConfig",
  fields: [
    integer("vocab_size"),
    integer("n_embd"),
    integer("n_layer"),
    integer("n_head"),
    number("layer_norm_epsilon"),
    integer("rotary_dim"),
    anything("activation_function"),
    nullable(integer("n_inner", -1)),
    anything("rope_scaling", null),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("head_dim", 0),
    EXTRA_KEYS,
  ],
  rules: [
    context(["max_position_embeddings", "n_positions"]),
    headDim(HEADS),
    headDimFills(HEADS),
    chunk(8192),
  ],
};

/** `n_inner` is not derived: null and -1 stay, and mean four times the width. */
function innerWidth(fields: FieldReader): number {
  const given = fields.isNull("n_inner") ? -1 : fields.integer("n_inner");
  return given === -1 ? 4 * fields.integer("n_embd") : given;
}

/**
 * Upstream's own table looks for `self_attn` where the model says `attn`, so it cannot convert this architecture;
 * here the three projections are joined as it evidently means.
 */
export const architecture: Architecture = defineArchitecture({
  key: "gptj",
  awqByRule: true,
  classes: ["GPTJForCausalLM"],
  upstreamNotices: () => ["upstream cannot convert gptj: it has no result that this one could equal"],
  config: gptjConfig,
  table: (fields) => {
    const names = { hidden: "n_embd", ffn: "n_embd", heads: "n_head", kvHeads: "n_head", layers: "n_layer" };
    const sizes = decoderSizes(fields, names);
    const { hidden, vocab } = sizes;
    const ffn = innerWidth(fields);
    return [
      embedding("transformer.wte.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `transformer.h.${i}`;
        return [
          ...layerNorm(`${layer}.ln_1`, hidden),
          linear(`${layer}.attn.c_attn.weight`, [3 * hidden, hidden], {
            from: joined(`${layer}.attn.*.weight`, ["q_proj", "k_proj", "v_proj"]),
            shard: cutQkv("_shard_qkv_weight", sizes),
          }),
          linear(`${layer}.attn.out_proj.weight`, [hidden, hidden], { shard: cut("_shard_o", 1) }),
          linear(`${layer}.mlp.fc_in.weight`, [ffn, hidden], { shard: cut("_shard_c_fc_weight", 0) }),
          bias(`${layer}.mlp.fc_in.bias`, [ffn]),
          linear(`${layer}.mlp.fc_out.weight`, [hidden, ffn], { shard: cut("_shard_mlp_c_proj", 1) }),
          bias(`${layer}.mlp.fc_out.bias`, [hidden]),
        ];
      }),
      ...layerNorm("transformer.ln_f", hidden),
      linear("lm_head.weight", [vocab, hidden]),
      bias("lm_head.bias", [vocab]),
    ];
  },
});
