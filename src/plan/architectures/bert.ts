import type { Architecture, EmbeddingMetadata } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, nullable, number, type Rule, text } from "../config-class.ts";
import { chunk, context, headDim, headDimFills } from "../config-rules.ts";
import { activation, type Constraint } from "../constraints.ts";
import { perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Parameter } from "../parameter.ts";
import { bias, eachLayer, embedding, joined, layerNorm, linear } from "../table.ts";

const innerWidth: Rule = (draft) => {
  if (draft.isNull("intermediate_size") || draft.get("intermediate_size") === -1) {
    draft.set("intermediate_size", 4 * draft.integer("hidden_size"));
  }
};

/** An encoder reads its whole input at once, so the chunk is not capped. */
export const bertConfig: ConfigClass = {
  name: "BertConfig",
  fields: [
    integer("vocab_size"),
    integer("hidden_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    nullable(integer("intermediate_size")),
    text("hidden_act"),
    number("layer_norm_eps"),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    integer("type_vocab_size", 2),
    { ...integer("pad_token_id", 0), kind: "any" },
    integer("position_offset", 0),
    integer("head_dim", 0),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [innerWidth, context(), headDim(), headDimFills(), chunk(Number.POSITIVE_INFINITY)],
};

export const bertConstraints: readonly Constraint[] = [activation()];
export const encoderMetadata: EmbeddingMetadata = {
  modelType: "encoder",
  poolingStrategy: "cls",
  normalize: true,
};

const dense = (module: string, outputs: number, inputs: number): readonly Parameter[] => [
  linear(`${module}.weight`, [outputs, inputs]),
  bias(`${module}.bias`, [outputs]),
];

export function bertTable(fields: FieldReader): readonly Parameter[] {
  const [hidden, ffn] = [fields.integer("hidden_size"), fields.integer("intermediate_size")];
  const heads = perWorker(fields, "num_attention_heads", fields.integer("tensor_parallel_shards"));
  const qkv = 3 * heads * fields.integer("head_dim");
  return [
    embedding("embeddings.word_embeddings.weight", [fields.integer("vocab_size"), hidden]),
    embedding("embeddings.position_embeddings.weight", [fields.integer("context_window_size"), hidden]),
    embedding("embeddings.token_type_embeddings.weight", [fields.integer("type_vocab_size"), hidden]),
    ...layerNorm("embeddings.LayerNorm", hidden),
    ...eachLayer(fields.integer("num_hidden_layers"), (i) => {
      const layer = `encoder.layer.${i}`;
      const attention = `${layer}.attention.self`;
      const parts = ["query", "key", "value"];
      return [
        linear(`${attention}.qkv.weight`, [qkv, hidden], { from: joined(`${attention}.*.weight`, parts) }),
        bias(`${attention}.qkv.bias`, [qkv], { from: joined(`${attention}.*.bias`, parts) }),
        ...dense(`${layer}.attention.output.dense`, hidden, hidden),
        ...layerNorm(`${layer}.attention.output.LayerNorm`, hidden),
        ...dense(`${layer}.intermediate.dense`, ffn, hidden),
        ...dense(`${layer}.output.dense`, hidden, ffn),
        ...layerNorm(`${layer}.output.LayerNorm`, hidden),
      ];
    }),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "bert",
  awqByRule: true,
  classes: ["BertModel", "BertForMaskedLM"],
  config: bertConfig,
  modelTask: "embedding",
  embeddingMetadata: encoderMetadata,
  constraints: bertConstraints,
  table: bertTable,
});
