import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, flag, integer, nullable, number, type Rule } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, perLayer } from "../define-architecture.ts";
import { ANY_VOCAB, type Expression } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear, renameSources, source } from "../table.ts";

const HEADS = { hidden: "n_embd", heads: "n_head" } as const;

/** `n_inner` null or -1: four times the width. */
const innerWidth: Rule = (draft) => {
  if (draft.isNull("n_inner") || draft.get("n_inner") === -1)
    draft.set("n_inner", 4 * draft.integer("n_embd"));
};

const gpt2Config: ConfigClass = {
  name: "GPT2Config",
  fields: [
    integer("vocab_size"),
    integer("n_embd"),
    integer("n_layer"),
    integer("n_head"),
    number("layer_norm_epsilon"),
    nullable(integer("n_inner", -1)),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    flag("scale_attn_by_inverse_layer_idx", false),
    integer("tensor_parallel_shards", 1),
    integer("head_dim", 0),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [
    innerWidth,
    context(["n_positions", "max_sequence_length"]),
    headDim(HEADS),
    headDimFills(HEADS),
    chunk(8192),
  ],
};

/** The checkpoint stores [inputs, outputs]. */
const transposed = (name: string): Expression => ({ op: "permute", of: source(name), axes: [1, 0] });

const PREFIX = "transformer.";

/** The embedding is the head too; names of the checkpoint have no prefix. */
export const architecture: Architecture = defineArchitecture({
  key: "gpt2",
  classes: ["GPT2LMHeadModel"],
  config: gpt2Config,
  constraints: [wholeHeads("n_embd", "n_head")],
  ignores: (fields) => perLayer("h", fields.integer("n_layer"), "attn.bias"),
  table: (fields) => {
    const names = { hidden: "n_embd", ffn: "n_inner", heads: "n_head", kvHeads: "n_head", layers: "n_layer" };
    const sizes = decoderSizes(fields, names);
    const { hidden, ffn, q, qkv } = sizes;
    const parameters = [
      linear("lm_head.weight", [ANY_VOCAB, hidden], { from: "wte.weight" }),
      embedding("transformer.wte.weight", [ANY_VOCAB, hidden]),
      embedding("transformer.wpe.weight", [fields.integer("context_window_size"), hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `transformer.h.${i}`;
        return [
          ...layerNorm(`${layer}.ln_1`, hidden),
          linear(`${layer}.attn.c_attn.weight`, [qkv, hidden], {
            from: transposed(`${layer}.attn.c_attn.weight`),
            shard: cutQkv("_shard_qkv_weight", sizes),
          }),
          bias(`${layer}.attn.c_attn.bias`, [qkv], { shard: cutQkv("_shard_qkv_bias", sizes) }),
          linear(`${layer}.attn.c_proj.weight`, [hidden, q], {
            from: transposed(`${layer}.attn.c_proj.weight`),
            shard: cut("_shard_attn_c_proj", 1),
          }),
          bias(`${layer}.attn.c_proj.bias`, [hidden]),
          ...layerNorm(`${layer}.ln_2`, hidden),
          linear(`${layer}.mlp.c_fc.weight`, [ffn, hidden], {
            from: transposed(`${layer}.mlp.c_fc.weight`),
            shard: cut("_shard_c_fc_weight", 0),
          }),
          bias(`${layer}.mlp.c_fc.bias`, [ffn], { shard: cut("_shard_c_fc_bias", 0) }),
          linear(`${layer}.mlp.c_proj.weight`, [hidden, ffn], {
            from: transposed(`${layer}.mlp.c_proj.weight`),
            shard: cut("_shard_mlp_c_proj", 1),
          }),
          bias(`${layer}.mlp.c_proj.bias`, [hidden]),
        ];
      }),
      ...layerNorm("transformer.ln_f", hidden),
    ];
    const stored = (name: string) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);
    return renameSources(parameters, stored);
  },
});
