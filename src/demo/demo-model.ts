import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEMO_TOKEN_IDS, demoTokenizerFiles } from "./demo-tokenizer.ts";
import { type SyntheticCheckpoint, writeSyntheticCheckpoint } from "./synthetic-checkpoint.ts";
import type { SyntheticTensor } from "./synthetic-tensor.ts";

/** The sizes of a llama model. */
export interface LlamaSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
}

/** About 7 million parameters: converted in a moment, and large enough to have something to show. */
export const DEMO_SIZES: LlamaSizes = {
  hiddenSize: 256,
  intermediateSize: 768,
  layers: 4,
  heads: 8,
  keyValueHeads: 4,
  headDim: 32,
  vocabSize: 8192,
};

/** The shapes of Llama-3.2-1B. */
export const LLAMA_1B_SIZES: LlamaSizes = {
  hiddenSize: 2048,
  intermediateSize: 8192,
  layers: 16,
  heads: 32,
  keyValueHeads: 8,
  headDim: 64,
  vocabSize: 128256,
};

/** A llama checkpoint in one bfloat16 safetensors file, with its config; no weights are made yet. */
export function llamaCheckpoint(sizes: LlamaSizes): SyntheticCheckpoint {
  const tensors = llamaTensors(sizes);
  const name = "model.safetensors";
  return {
    files: [{ name, tensors }],
    weightMap: tensors.map((tensor) => [tensor.name, name]),
    config: llamaConfig(sizes),
  };
}

function llamaConfig(sizes: LlamaSizes): Readonly<Record<string, unknown>> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: sizes.hiddenSize,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    vocab_size: sizes.vocabSize,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    bos_token_id: DEMO_TOKEN_IDS.bos,
    eos_token_id: DEMO_TOKEN_IDS.eos,
    pad_token_id: DEMO_TOKEN_IDS.pad,
  };
}

function llamaTensors(sizes: LlamaSizes): SyntheticTensor[] {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim, vocabSize } = sizes;
  const weight = (name: string, ...shape: number[]): SyntheticTensor => ({
    name: `model.${name}.weight`,
    dtype: "BF16",
    shape,
  });
  const layer = (prefix: string): SyntheticTensor[] => [
    weight(`${prefix}.input_layernorm`, hiddenSize),
    weight(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize),
    weight(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize),
    weight(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize),
    weight(`${prefix}.post_attention_layernorm`, hiddenSize),
    weight(`${prefix}.self_attn.k_proj`, keyValueHeads * headDim, hiddenSize),
    weight(`${prefix}.self_attn.o_proj`, hiddenSize, heads * headDim),
    weight(`${prefix}.self_attn.q_proj`, heads * headDim, hiddenSize),
    weight(`${prefix}.self_attn.v_proj`, keyValueHeads * headDim, hiddenSize),
  ];
  return [
    weight("embed_tokens", vocabSize, hiddenSize),
    ...Array.from({ length: sizes.layers }, (_, index) => layer(`layers.${index}`)).flat(),
    weight("norm", hiddenSize),
  ];
}

/** Writes the demo model, weights and tokenizer, into a folder that is created. */
export async function writeDemoModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeSyntheticCheckpoint(folder, llamaCheckpoint(DEMO_SIZES));
  for (const [name, text] of demoTokenizerFiles()) await writeFile(join(folder, name), text);
}
