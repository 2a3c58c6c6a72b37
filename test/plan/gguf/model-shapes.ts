import type { DType } from "../../../src/core/dtype.ts";
import type { SourceTensors } from "../../../src/plan/gguf/tensors.ts";

interface Shape {
  readonly layers: number;
  readonly hidden: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
}

/** A dense checkpoint of the common shape: names and shapes only. */
export function denseCheckpoint(shape: Shape, dtype: DType = "bfloat16"): SourceTensors {
  const { layers, hidden, feedForward, heads, kvHeads, vocab } = shape;
  const kv = (hidden / heads) * kvHeads;
  const tensors: (readonly [string, readonly number[]])[] = [
    ["model.embed_tokens.weight", [vocab, hidden]],
    ["model.norm.weight", [hidden]],
    ["lm_head.weight", [vocab, hidden]],
  ];
  for (let n = 0; n < layers; n++) {
    const add = (name: string, extents: readonly number[]): void => {
      tensors.push([`model.layers.${n}.${name}.weight`, extents]);
    };
    add("input_layernorm", [hidden]);
    add("post_attention_layernorm", [hidden]);
    add("self_attn.q_proj", [hidden, hidden]);
    add("self_attn.k_proj", [kv, hidden]);
    add("self_attn.v_proj", [kv, hidden]);
    add("self_attn.o_proj", [hidden, hidden]);
    add("mlp.gate_proj", [feedForward, hidden]);
    add("mlp.up_proj", [feedForward, hidden]);
    add("mlp.down_proj", [hidden, feedForward]);
  }
  return new Map(tensors.map(([name, extents]) => [name, { shape: extents, dtype }]));
}

/** The shape of Llama 3.1 8B, 8.03 billion parameters. */
export const LLAMA_8B: Shape = {
  layers: 32,
  hidden: 4096,
  feedForward: 14336,
  heads: 32,
  kvHeads: 8,
  vocab: 128_256,
};

/** The config.json of a shape, as plain data. */
export function llamaConfig(shape: Shape): Record<string, unknown> {
  return {
    model_type: "llama",
    num_hidden_layers: shape.layers,
    hidden_size: shape.hidden,
    intermediate_size: shape.feedForward,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    vocab_size: shape.vocab,
    max_position_embeddings: 131_072,
  };
}
