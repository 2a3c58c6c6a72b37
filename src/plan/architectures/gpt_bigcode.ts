import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, number, type Rule } from "../config-class.ts";
import { chunk } from "../config-rules.ts";
import { oneShard, wholeHeads } from "../constraints.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear } from "../table.ts";

const contextIsPositions: Rule = (draft) => {
  if (!draft.isZero("context_window_size")) return;
  const positions = draft.integer("n_positions");
  if (positions <= 0) throw draft.problem(`n_positions must be positive, found ${positions}`);
  draft.set("context_window_size", positions);
};

const bigcodeConfig: ConfigClass = {
  name: "GPTBigCodeConfig",
  fields: [
    integer("n_embd"),
    integer("n_inner"),
    integer("n_head"),
    integer("n_layer"),
    integer("n_positions"),
    number("layer_norm_epsilon"),
    integer("vocab_size"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [contextIsPositions, chunk(8192)],
};

/** Multi-query attention: one key head and one value head, fused in the checkpoint. */
export const architecture: Architecture = defineArchitecture({
  key: "gpt_bigcode",
  awqByRule: true,
  classes: ["GPTBigCodeForCausalLM"],
  config: bigcodeConfig,
  multiQuery: true,
  constraints: [wholeHeads("n_embd", "n_head"), oneShard],
  table: (fields) => {
    const [hidden, ffn, heads] = [
      fields.integer("n_embd"),
      fields.integer("n_inner"),
      fields.integer("n_head"),
    ];
    const headDim = Math.floor(hidden / heads);
    const [q, qkv] = [heads * headDim, (heads + 2) * headDim];
    return [
      embedding("transformer.wte.weight", [ANY_VOCAB, hidden]),
      embedding("transformer.wpe.weight", [fields.integer("n_positions"), hidden]),
      ...eachLayer(fields.integer("n_layer"), (i) => {
        const layer = `transformer.h.${i}`;
        return [
          ...layerNorm(`${layer}.ln_1`, hidden),
          linear(`${layer}.attn.c_attn.weight`, [qkv, hidden], {
            shard: cut("_shard_c_attn", 0, [q, headDim, headDim]),
          }),
          bias(`${layer}.attn.c_attn.bias`, [qkv]),
          linear(`${layer}.attn.c_proj.weight`, [hidden, q], { shard: cut("_shard_c_proj", 1) }),
          bias(`${layer}.attn.c_proj.bias`, [hidden]),
          ...layerNorm(`${layer}.ln_2`, hidden),
          linear(`${layer}.mlp.c_fc.weight`, [ffn, hidden], { shard: cut("_shard_mlp_c_fc", 0) }),
          bias(`${layer}.mlp.c_fc.bias`, [ffn]),
          linear(`${layer}.mlp.c_proj.weight`, [hidden, ffn], { shard: cut("_shard_mlp_c_proj", 1) }),
          bias(`${layer}.mlp.c_proj.bias`, [hidden]),
        ];
      }),
      ...layerNorm("transformer.ln_f", hidden),
      linear("lm_head.weight", [ANY_VOCAB, hidden]),
    ];
  },
});
