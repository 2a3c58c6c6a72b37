import type { DType } from "../../core/dtype.ts";
import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, integer, number, text } from "../config-class.ts";
import { chunk, context, headDim, headDimFills, ropeBase } from "../config-rules.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, perLayer } from "../define-architecture.ts";
import { type FieldReader, spell } from "../field-reader.ts";
import { ANY_VOCAB, type Expression } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear, source } from "../table.ts";

const neoxConfig: ConfigClass = {
  name: "GPTNeoXConfig",
  fields: [
    anything("use_parallel_residual"),
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    number("layer_norm_eps"),
    integer("vocab_size"),
    number("rotary_pct"),
    number("position_embedding_base", 0),
    integer("context_window_size", 0),
    integer("head_dim", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    text("ffn_out_dtype", "float32"),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [context(), ropeBase, headDim(), headDimFills(), chunk(8192)],
};

/** The checkpoint's rows go head by head [heads, 3, head width]; the model wants all q, all k, all v. */
function splitHeads(
  name: string,
  heads: number,
  [headDim, ...columns]: readonly [number, ...number[]],
): Expression {
  const perHead = { op: "reshape", of: source(name), shape: [heads, 3, headDim, ...columns] } as const;
  const axes = [1, 0, 2, ...columns.map((_, k) => 3 + k)];
  const byKind = { op: "permute", of: perHead, axes } as const;
  return { op: "reshape", of: byKind, shape: [3 * heads * headDim, ...columns] };
}

const DTYPES: readonly DType[] = ["float16", "bfloat16", "float32"];

/** The dtype in which the feed-forward network computes, and in which its biases are kept. */
function outputDType(fields: FieldReader): DType {
  const value = fields.get("ffn_out_dtype");
  const known = DTYPES.find((dtype) => dtype === value);
  if (known !== undefined) return known;
  throw fields.problem(`ffn_out_dtype must be one of ${DTYPES.join(", ")}, found ${spell(value)}`);
}

export const architecture: Architecture = defineArchitecture({
  key: "gpt_neox",
  classes: ["GPTNeoXForCausalLM"],
  config: neoxConfig,
  ignores: (fields) =>
    ["rotary_emb.inv_freq", "masked_bias", "bias"].flatMap((name) =>
      perLayer("gpt_neox.layers", fields.integer("num_hidden_layers"), `attention.${name}`),
    ),
  table: (fields) => {
    const sizes = decoderSizes(fields, { kvHeads: "num_attention_heads" });
    const { hidden, ffn, headDim, q, qkv } = sizes;
    const heads = fields.integer("num_attention_heads");
    const dtype = outputDType(fields);
    const float32Output = dtype === "float32";
    return [
      embedding("gpt_neox.embed_in.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `gpt_neox.layers.${i}`;
        const fused = `${layer}.attention.query_key_value`;
        return [
          ...layerNorm(`${layer}.input_layernorm`, hidden),
          ...layerNorm(`${layer}.post_attention_layernorm`, hidden),
          linear(`${fused}.weight`, [qkv, hidden], {
            from: splitHeads(`${fused}.weight`, heads, [headDim, hidden]),
            shard: cutQkv("_shard_qkv_weight", sizes),
          }),
          bias(`${fused}.bias`, [qkv], {
            from: splitHeads(`${fused}.bias`, heads, [headDim]),
            shard: cutQkv("_shard_qkv_bias", sizes),
          }),
          linear(`${layer}.attention.dense.weight`, [hidden, q], { shard: cut("_shard_dense", 1) }),
          bias(`${layer}.attention.dense.bias`, [hidden]),
          linear(`${layer}.mlp.dense_h_to_4h.weight`, [ffn, hidden], {
            shard: cut("_shard_dense_h_to_4h_weight", 0),
            float32Output,
          }),
          bias(`${layer}.mlp.dense_h_to_4h.bias`, [ffn], {
            dtype,
            shard: cut("_shard_dense_h_to_4h_bias", 0),
          }),
          linear(`${layer}.mlp.dense_4h_to_h.weight`, [hidden, ffn], {
            shard: cut("_shard_dense_4h_to_h", 1),
            float32Output,
          }),
          bias(`${layer}.mlp.dense_4h_to_h.bias`, [hidden], { dtype }),
        ];
      }),
      ...layerNorm("gpt_neox.final_layer_norm", hidden),
      linear("embed_out.weight", [ANY_VOCAB, hidden]),
    ];
  },
});
