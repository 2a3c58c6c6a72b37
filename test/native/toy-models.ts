import type { SyntheticTensor } from "../../src/demo/synthetic-tensor.ts";

/** A model of toy size: its config.json, its tensors and the golden tokenizer that it is given. */
export interface ToyModel {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: string;
  readonly tensors: readonly SyntheticTensor[];
}

const HIDDEN = 256;
const FEED_FORWARD = 512;
const HEADS = 8;
const KV_HEADS = 2;
const HEAD_DIM = 32;
const LAYERS = 2;
const EXPERTS = 4;

interface Family {
  readonly className: string;
  readonly tokenizer: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tied?: boolean;
  /** Names and shapes of a layer, besides its attention norm and its output projection. */
  readonly layer: readonly (readonly [string, readonly number[]])[];
}

type Rows = readonly (readonly [string, readonly number[]])[];

const ATTENTION: Rows = [
  ["self_attn.q_proj.weight", [HEADS * HEAD_DIM, HIDDEN]],
  ["self_attn.k_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]],
  ["self_attn.v_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]],
];
const BIASES: Rows = ATTENTION.map(([name, [rows = 0]]) => [name.replace("weight", "bias"), [rows]]);
const HEAD_NORMS: Rows = ["q", "k"].map((head) => [`self_attn.${head}_norm.weight`, [HEAD_DIM]]);
const FFN_NORM: Rows = [["post_attention_layernorm.weight", [HIDDEN]]];
const SANDWICH: Rows = ["post_attention", "pre_feedforward", "post_feedforward"].map((place) => [
  `${place}_layernorm.weight`,
  [HIDDEN],
]);
const gated = (prefix: string, [gate, up, down]: readonly [string, string, string]): Rows => [
  [`${prefix}.${gate}.weight`, [FEED_FORWARD, HIDDEN]],
  [`${prefix}.${up}.weight`, [FEED_FORWARD, HIDDEN]],
  [`${prefix}.${down}.weight`, [HIDDEN, FEED_FORWARD]],
];
const FFN = gated("mlp", ["gate_proj", "up_proj", "down_proj"]);
const experts = (prefix: string, names: readonly [string, string, string]): Rows => [
  [`${prefix}.gate.weight`, [EXPERTS, HIDDEN]],
  ...Array.from({ length: EXPERTS }, (_, expert) => gated(`${prefix}.experts.${expert}`, names)).flat(),
];

const dense: Rows = [...ATTENTION, ...FFN_NORM, ...FFN];
const gemma = { tokenizer: "spm-gemma", tied: true };
const scaled = { query_pre_attn_scalar: HEAD_DIM, sliding_window: 16 };

const FAMILIES: Readonly<Record<string, Family>> = {
  llama: { className: "LlamaForCausalLM", tokenizer: "bpe-llama3", layer: dense },
  mistral: { className: "MistralForCausalLM", tokenizer: "spm-llama", layer: dense },
  mixtral: {
    className: "MixtralForCausalLM",
    tokenizer: "spm-llama",
    config: { num_local_experts: EXPERTS, num_experts_per_tok: 2 },
    layer: [...ATTENTION, ...FFN_NORM, ...experts("block_sparse_moe", ["w1", "w3", "w2"])],
  },
  qwen2: { className: "Qwen2ForCausalLM", tokenizer: "bpe-qwen2", layer: [...dense, ...BIASES] },
  qwen3: { className: "Qwen3ForCausalLM", tokenizer: "bpe-qwen2", layer: [...dense, ...HEAD_NORMS] },
  qwen3_moe: {
    className: "Qwen3MoeForCausalLM",
    tokenizer: "bpe-qwen2",
    config: {
      num_experts: EXPERTS,
      num_experts_per_tok: 2,
      moe_intermediate_size: FEED_FORWARD,
      norm_topk_prob: true,
    },
    layer: [
      ...ATTENTION,
      ...HEAD_NORMS,
      ...FFN_NORM,
      ...experts("mlp", ["gate_proj", "up_proj", "down_proj"]),
    ],
  },
  gemma: { ...gemma, className: "GemmaForCausalLM", layer: dense },
  gemma2: {
    ...gemma,
    className: "Gemma2ForCausalLM",
    config: { ...scaled, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
    layer: [...ATTENTION, ...SANDWICH, ...FFN],
  },
  gemma3_text: {
    ...gemma,
    className: "Gemma3ForCausalLM",
    config: { ...scaled, rope_theta: 1e6, rope_local_base_freq: 10_000 },
    layer: [...ATTENTION, ...HEAD_NORMS, ...SANDWICH, ...FFN],
  },
  phi3: {
    className: "Phi3ForCausalLM",
    tokenizer: "spm-phi3",
    config: { original_max_position_embeddings: 1024 },
    layer: [
      ["self_attn.qkv_proj.weight", [(HEADS + 2 * KV_HEADS) * HEAD_DIM, HIDDEN]],
      ["mlp.gate_up_proj.weight", [2 * FEED_FORWARD, HIDDEN]],
      ["mlp.down_proj.weight", [HIDDEN, FEED_FORWARD]],
      ...FFN_NORM,
    ],
  },
};

/** Every family that can be written as GGUF. */
export const TOY_FAMILIES: readonly string[] = Object.keys(FAMILIES);

/** The toy model of a family. */
export function toyModel(family: string, vocab: number): ToyModel {
  const { className, tokenizer, config, tied, layer } = FAMILIES[family] as Family;
  const rows: Rows = [
    ["model.embed_tokens.weight", [vocab, HIDDEN]],
    ...Array.from({ length: LAYERS }, (_, index): Rows => {
      const common: Rows = [
        ["input_layernorm.weight", [HIDDEN]],
        ["self_attn.o_proj.weight", [HIDDEN, HEADS * HEAD_DIM]],
      ];
      return [...common, ...layer].map(([name, shape]) => [`model.layers.${index}.${name}`, shape]);
    }).flat(),
    ["model.norm.weight", [HIDDEN]],
    ...(tied ? [] : [["lm_head.weight", [vocab, HIDDEN]] as const]),
  ];
  return {
    tokenizer,
    tensors: rows.map(([name, shape]) => ({ name, shape, dtype: "BF16" })),
    config: {
      architectures: [className],
      model_type: family,
      hidden_size: HIDDEN,
      intermediate_size: FEED_FORWARD,
      num_hidden_layers: LAYERS,
      num_attention_heads: HEADS,
      num_key_value_heads: KV_HEADS,
      head_dim: HEAD_DIM,
      vocab_size: vocab,
      max_position_embeddings: 1024,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: tied ?? false,
      ...config,
    },
  };
}
