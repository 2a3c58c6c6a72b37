import type { Architecture } from "../architecture.ts";
import {
  anything,
  type ConfigClass,
  EXTRA_KEYS,
  flag,
  integer,
  number,
  type Rule,
  ropeTheta,
} from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { cutQkv, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Expression } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, joined, linear, norm, source, when } from "../table.ts";

const biasNotice: Rule = (draft) => {
  if (!draft.flag("bias")) return;
  draft.notice("the attention bias is reordered like its weight, which upstream does not do");
};

const internLm2Config: ConfigClass = {
  name: "InternLM2Config",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    integer("num_key_value_heads"),
    number("rms_norm_eps"),
    integer("intermediate_size"),
    flag("bias"),
    anything("use_cache"),
    ropeTheta,
    anything("pad_token_id"),
    anything("bos_token_id"),
    anything("eos_token_id"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("head_dim", 0),
    EXTRA_KEYS,
  ],
  rules: [context(), headDim(), headDimFills(), chunk(2048), biasNotice],
};

/**
 * The checkpoint's rows go by key-value head: its query heads, then its key, then its value.
 * The model wants all queries, all keys, all values.
 */
function byKind(name: string, fields: FieldReader, columns: readonly number[]): Expression {
  const groups = fields.integer("num_key_value_heads");
  const queries = Math.floor(fields.integer("num_attention_heads") / groups);
  const headDim = fields.integer("head_dim");
  const grouped = {
    op: "reshape",
    of: source(name),
    shape: [groups, queries + 2, headDim, ...columns],
  } as const;
  const rows = (start: number, end: number): Expression => ({
    op: "reshape",
    of: { op: "slice", of: grouped, axis: 1, start, end },
    shape: [groups * (end - start) * headDim, ...columns],
  });
  const parts = [rows(0, queries), rows(queries, queries + 1), rows(queries + 1, queries + 2)];
  return { op: "concat", axis: 0, parts };
}

export const architecture: Architecture = defineArchitecture({
  key: "internlm2",
  classes: ["InternLM2ForCausalLM"],
  config: internLm2Config,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, ffn, q, qkv, vocab } = sizes;
    return [
      embedding("model.tok_embeddings.weight", [vocab, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const layer = `model.layers.${i}`;
        const fused = `${layer}.attention.wqkv`;
        return [
          linear(`${fused}.weight`, [qkv, hidden], {
            from: byKind(`${fused}.weight`, fields, [hidden]),
            shard: cutQkv("_shard_qkv_weight", sizes),
          }),
          linear(`${layer}.attention.wo.weight`, [hidden, q], { shard: cut("_shard_o", 1) }),
          ...when(
            fields.flag("bias"),
            bias(`${fused}.bias`, [qkv], {
              from: byKind(`${fused}.bias`, fields, []),
              shard: cutQkv("_shard_qkv_bias", sizes),
            }),
            bias(`${layer}.attention.wo.bias`, [hidden]),
          ),
          linear(`${layer}.feed_forward.gate_up_proj.weight`, [2 * ffn, hidden], {
            from: joined(`${layer}.feed_forward.*.weight`, ["w1", "w3"]),
            shard: cut("_shard_mlp_up", 0, [ffn, ffn]),
          }),
          linear(`${layer}.feed_forward.w2.weight`, [hidden, ffn], { shard: cut("_shard_mlp_down", 1) }),
          norm(`${layer}.attention_norm.weight`, [hidden]),
          norm(`${layer}.ffn_norm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
      linear("output.weight", [vocab, hidden]),
    ];
  },
});
