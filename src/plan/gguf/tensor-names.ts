import type { GgufModel } from "./model.ts";

/** One tensor of every layer; `name` and `source` lack `blk.N.` and `model.layers.N.`. */
export type BlockTensor =
  | { readonly kind: "norm"; readonly name: string; readonly source: string; readonly size: number }
  | {
      readonly kind: "linear";
      readonly name: string;
      readonly source: string;
      readonly rows: number;
      readonly cols: number;
      /** Set where the rows of each of so many heads are interleaved. */
      readonly heads?: number;
    }
  | {
      readonly kind: "experts";
      readonly name: string;
      /** Of one expert. */
      readonly source: (expert: number) => string;
      /** All experts in one source tensor; `half` of its rows where two tensors share it. */
      readonly fused: { readonly source: string; readonly half?: 0 | 1 };
      readonly rows: number;
      readonly cols: number;
    };

/** The tensors of a layer (gguf.md, section 4, "Names"). */
export function blockTensors(model: GgufModel): readonly BlockTensor[] {
  return [...norms(model), ...attention(model), ...(model.experts > 0 ? mixture(model) : mlp(model))];
}

function norms({ architecture, hidden, headDim }: GgufModel): readonly BlockTensor[] {
  const norm = (name: string, source: string, size: number): BlockTensor => ({
    kind: "norm",
    name,
    source,
    size,
  });
  const sandwich = architecture === "gemma2" || architecture === "gemma3";
  const perHead = architecture === "qwen3" || architecture === "qwen3moe" || architecture === "gemma3";
  return [
    norm("attn_norm", "input_layernorm", hidden),
    ...(sandwich
      ? [
          norm("post_attention_norm", "post_attention_layernorm", hidden),
          norm("ffn_norm", "pre_feedforward_layernorm", hidden),
          norm("post_ffw_norm", "post_feedforward_layernorm", hidden),
        ]
      : [norm("ffn_norm", "post_attention_layernorm", hidden)]),
    ...(perHead
      ? [norm("attn_q_norm", "self_attn.q_norm", headDim), norm("attn_k_norm", "self_attn.k_norm", headDim)]
      : []),
  ];
}

function linear(name: string, source: string, shape: readonly [rows: number, cols: number]): BlockTensor {
  return { kind: "linear", name, source, rows: shape[0], cols: shape[1] };
}

function attention({ architecture, hidden, heads, kvHeads, headDim }: GgufModel): readonly BlockTensor[] {
  const q = heads * headDim;
  const kv = kvHeads * headDim;
  const output = linear("attn_output", "self_attn.o_proj", [hidden, q]);
  if (architecture === "phi3")
    return [linear("attn_qkv", "self_attn.qkv_proj", [q + 2 * kv, hidden]), output];
  const turned = (count: number): { readonly heads?: number } =>
    architecture === "llama" ? { heads: count } : {};
  return [
    { ...linear("attn_q", "self_attn.q_proj", [q, hidden]), ...turned(heads) },
    { ...linear("attn_k", "self_attn.k_proj", [kv, hidden]), ...turned(kvHeads) },
    linear("attn_v", "self_attn.v_proj", [kv, hidden]),
    output,
  ];
}

function mlp({ architecture, hidden, feedForward }: GgufModel): readonly BlockTensor[] {
  const down = linear("ffn_down", "mlp.down_proj", [hidden, feedForward]);
  if (architecture === "phi3") return [linear("ffn_up", "mlp.gate_up_proj", [2 * feedForward, hidden]), down];
  return [
    linear("ffn_gate", "mlp.gate_proj", [feedForward, hidden]),
    linear("ffn_up", "mlp.up_proj", [feedForward, hidden]),
    down,
  ];
}

/** Mixtral calls gate, down and up of an expert w1, w2 and w3. */
function mixture(model: GgufModel): readonly BlockTensor[] {
  const { hidden } = model;
  const mixtral = model.family === "mixtral";
  const inner = mixtral ? model.feedForward : model.config.number("moe_intermediate_size", 768);
  const parent = mixtral ? "block_sparse_moe" : "mlp";
  const one = (name: string) => (expert: number) => `${parent}.experts.${expert}.${name}`;
  const fused = `${parent}.experts.gate_up_proj`;
  return [
    linear("ffn_gate_inp", `${parent}.gate`, [model.experts, hidden]),
    {
      kind: "experts",
      name: "ffn_gate_exps",
      source: one(mixtral ? "w1" : "gate_proj"),
      fused: { source: fused, half: 0 },
      rows: inner,
      cols: hidden,
    },
    {
      kind: "experts",
      name: "ffn_down_exps",
      source: one(mixtral ? "w2" : "down_proj"),
      fused: { source: `${parent}.experts.down_proj` },
      rows: hidden,
      cols: inner,
    },
    {
      kind: "experts",
      name: "ffn_up_exps",
      source: one(mixtral ? "w3" : "up_proj"),
      fused: { source: fused, half: 1 },
      rows: inner,
      cols: hidden,
    },
  ];
}
