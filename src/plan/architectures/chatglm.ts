import type { Architecture } from "../architecture.ts";
import { anything, type ConfigClass, EXTRA_KEYS, flag, integer, number, type Rule } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { cutQkv, type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Parameter } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, linear, norm, when } from "../table.ts";

const paddedVocabulary: Rule = (draft) => {
  if (!draft.isZero("vocab_size")) return;
  const padded = draft.take("padded_vocab_size");
  if (padded === undefined) throw draft.problem("neither vocab_size nor padded_vocab_size is given");
  draft.set("vocab_size", padded);
  draft.integer("vocab_size");
};

const glmConfig: ConfigClass = {
  name: "GLMConfig",
  fields: [
    integer("hidden_size"),
    integer("num_layers"),
    integer("kv_channels"),
    integer("num_attention_heads"),
    integer("ffn_hidden_size"),
    number("layernorm_epsilon"),
    flag("post_layer_norm"),
    flag("rmsnorm"),
    flag("add_bias_linear"),
    flag("add_qkv_bias"),
    anything("apply_query_key_layer_scaling"),
    flag("multi_query_attention"),
    integer("multi_query_group_num"),
    integer("vocab_size", 0),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("head_dim", 0),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [
    paddedVocabulary,
    context(["max_position_embeddings", "seq_length"]),
    headDim(),
    headDimFills(),
    chunk(8192),
  ],
};

/** q, k and v, and gate and up, are fused in the checkpoint. */
function layer(at: string, sizes: DecoderSizes, fields: FieldReader): readonly Parameter[] {
  const { hidden, ffn, q, qkv } = sizes;
  const everyBias = fields.flag("add_bias_linear");
  const [attention, mlp] = [`${at}.self_attention`, `${at}.mlp`];
  return [
    linear(`${attention}.query_key_value.weight`, [qkv, hidden], {
      shard: cutQkv("_shard_qkv_weight", sizes),
    }),
    linear(`${attention}.dense.weight`, [hidden, q], { shard: cut("_shard_dense_weight", 1) }),
    linear(`${mlp}.dense_h_to_4h.weight`, [2 * ffn, hidden], {
      shard: cut("_shard_dense_h_to_4h_weight", 0),
    }),
    linear(`${mlp}.dense_4h_to_h.weight`, [hidden, ffn], { shard: cut("_shard_dense_4h_to_h", 1) }),
    ...when(
      everyBias || fields.flag("add_qkv_bias"),
      bias(`${attention}.query_key_value.bias`, [qkv], { shard: cutQkv("_shard_qkv_bias", sizes) }),
    ),
    ...when(
      everyBias,
      bias(`${attention}.dense.bias`, [hidden], { shard: cut("_shard_dense_bias", 0) }),
      bias(`${mlp}.dense_h_to_4h.bias`, [2 * ffn], { shard: cut("_shard_dense_h_to_4h_bias", 0) }),
      bias(`${mlp}.dense_4h_to_h.bias`, [hidden], { shard: cut("_shard_dense_4h_to_h_bias", 1) }),
    ),
    norm(`${at}.input_layernorm.weight`, [hidden]),
    norm(`${at}.post_attention_layernorm.weight`, [hidden]),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "chatglm",
  classes: ["ChatGLMModel", "ChatGLMForConditionalGeneration"],
  config: glmConfig,
  schemeKinds: ["no-quant", "group-quant"],
  shardingNotice:
    "gate and up projection are cut as one block, as upstream does: the shards do not fit the runtime",
  table: (fields) => {
    const kvHeads = fields.flag("multi_query_attention") ? "multi_query_group_num" : "num_attention_heads";
    const sizes = decoderSizes(fields, { ffn: "ffn_hidden_size", kvHeads, layers: "num_layers" });
    const { hidden, vocab } = sizes;
    const finalNorm = fields.flag("post_layer_norm");
    return [
      embedding("transformer.embedding.weight", [vocab, hidden], {
        from: "transformer.embedding.word_embeddings.weight",
      }),
      ...eachLayer(sizes.layers, (i) => layer(`transformer.encoder.layers.${i}`, sizes, fields)),
      ...when(finalNorm, norm("transformer.encoder.final_layernorm.weight", [hidden])),
      ...when(
        finalNorm && !fields.flag("rmsnorm"),
        norm("transformer.encoder.final_layernorm.bias", [hidden]),
      ),
      linear("transformer.output_layer.weight", [vocab, hidden]),
    ];
  },
});
