import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  flag,
  integer,
  list,
  number,
  ropeTheta,
  text,
} from "../config-class.ts";
import { chunk, context } from "../config-rules.ts";
import { activation, type Constraint } from "../constraints.ts";
import { fusedQkv, fusedQkvBias, gatedFfn, outputProjection } from "../decoder-parts.ts";
import { type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { COMMON_KINDS, defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { dynamicBlockScale } from "../fp8-config.ts";
import type { Parameter } from "../parameter.ts";
import type { SchemeKind } from "../scheme.ts";
import { bias, eachLayer, embedding, linear, norm, when } from "../table.ts";
import { C_ATTN, C_ATTN_BIAS } from "./qwen2.ts";

export const qwen3Fields: readonly Field[] = [
  text("hidden_act"),
  integer("hidden_size"),
  integer("intermediate_size"),
  flag("attention_bias"),
  integer("num_attention_heads"),
  integer("num_hidden_layers"),
  integer("num_key_value_heads"),
  number("rms_norm_eps"),
  ropeTheta,
  integer("vocab_size"),
  flag("tie_word_embeddings", false),
  integer("context_window_size", 0),
  integer("prefill_chunk_size", 0),
  integer("tensor_parallel_shards", 1),
  integer("head_dim", 0),
  text("dtype", "float32"),
  integer("max_batch_size", 1),
  list("weight_block_size", null),
  EXTRA_KEYS,
];

/** `head_dim` is not derived in this family. */
export const qwen3Config: ConfigClass = {
  name: "Qwen3Config",
  fields: qwen3Fields,
  rules: [dynamicBlockScale, context(), chunk(2048)],
};

export const headDimGiven: Constraint = (fields) => {
  if (fields.isZero("head_dim")) throw fields.problem("head_dim is missing", "add head_dim to config.json");
};

export const qwen3Constraints: readonly Constraint[] = [activation(), headDimGiven];
export const blockScaleKinds: readonly SchemeKind[] = [...COMMON_KINDS, "block-scale-quant"];

/** Attention with a norm for each query and key head, and optional biases. */
export function qwen3Attention(at: string, sizes: DecoderSizes, withBias: boolean): readonly Parameter[] {
  return [
    fusedQkv(at, sizes, C_ATTN),
    ...when(withBias, fusedQkvBias(at, sizes, C_ATTN_BIAS)),
    outputProjection(at, sizes),
    ...when(withBias, bias(`${at}.o_proj.bias`, [sizes.hidden])),
    norm(`${at}.q_norm.weight`, [sizes.headDim]),
    norm(`${at}.k_norm.weight`, [sizes.headDim]),
  ];
}

export function qwen3Table(fields: FieldReader): readonly Parameter[] {
  const sizes = decoderSizes(fields);
  const { hidden, vocab } = sizes;
  return [
    embedding("model.embed_tokens.weight", [vocab, hidden]),
    ...eachLayer(sizes.layers, (i) => [
      ...qwen3Attention(`model.layers.${i}.self_attn`, sizes, fields.flag("attention_bias")),
      ...gatedFfn(`model.layers.${i}.mlp`, sizes),
      norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
      norm(`model.layers.${i}.post_attention_layernorm.weight`, [hidden]),
    ]),
    norm("model.norm.weight", [hidden]),
    ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "qwen3",
  awqByRule: true,
  classes: ["Qwen3ForCausalLM"],
  config: qwen3Config,
  sourceFormats: GGUF_FORMATS,
  schemeKinds: blockScaleKinds,
  constraints: qwen3Constraints,
  table: qwen3Table,
});
