import { Float, type Json, type JsonObject } from "../core/json.ts";
import type { TensorInfo } from "../core/tensor-info.ts";
import { type GgufFacts, shortestFloat } from "./gguf-facts.ts";
import { linearRopeScaling, type RopeTensors, ropeScalingOf } from "./gguf-rope.ts";

type Field = readonly [name: string, value: Json | undefined];

/**
 * The config.json of the checkpoint that a GGUF file was made from (gguf.md, section 6).
 * @param tensors the file's tensors under their GGUF names
 * @throws {CheckpointError} `E_GGUF_METADATA` for missing figures
 */
export function configOf(
  facts: GgufFacts,
  tensors: ReadonlyMap<string, TensorInfo>,
  rope: RopeTensors,
): JsonObject {
  const fields: readonly Field[] = [
    ["architectures", [facts.origin.className]],
    ["model_type", facts.origin.modelType],
    ...sizes(facts, tensors),
    ...switches(facts, tensors),
    ...expertFields(facts),
    ...ropeFields(facts, rope),
    ...windowFields(facts),
    ...["bos", "eos"].map((role): Field => [`${role}_token_id`, facts.token(role)]),
    ["pad_token_id", facts.token("padding")],
    ["torch_dtype", torchDType(tensors)],
  ];
  return new Map(fields.filter((field): field is readonly [string, Json] => field[1] !== undefined));
}

function sizes(facts: GgufFacts, tensors: ReadonlyMap<string, TensorInfo>): readonly Field[] {
  return [
    ["hidden_size", facts.number("embedding_length")],
    ["intermediate_size", facts.number("feed_forward_length")],
    ["num_hidden_layers", facts.number("block_count")],
    ["num_attention_heads", facts.heads],
    ["num_key_value_heads", facts.kvHeads],
    ["head_dim", facts.headDim],
    ["vocab_size", tensors.get("token_embd.weight")?.shape[0] ?? facts.number("vocab_size")],
    ["max_position_embeddings", facts.number("context_length")],
    ["rms_norm_eps", shortestFloat(facts.number("attention.layer_norm_rms_epsilon"))],
  ];
}

function switches(facts: GgufFacts, tensors: ReadonlyMap<string, TensorInfo>): readonly Field[] {
  const gemma = facts.architecture.startsWith("gemma");
  return [
    ["hidden_act", gemma ? "gelu_pytorch_tanh" : "silu"],
    ["hidden_activation", gemma ? "gelu_pytorch_tanh" : undefined],
    ["tie_word_embeddings", !tensors.has("output.weight")],
    ["attention_bias", tensors.has("blk.0.attn_q.bias") || tensors.has("blk.0.attn_qkv.bias")],
    ["mlp_bias", facts.architecture === "llama" ? tensors.has("blk.0.ffn_up.bias") : undefined],
  ];
}

function expertFields(facts: GgufFacts): readonly Field[] {
  if (facts.experts === 0) return [];
  const used = facts.number("expert_used_count");
  if (facts.architecture === "llama") {
    return [
      ["num_local_experts", facts.experts],
      ["num_experts_per_tok", used],
    ];
  }
  return [
    ["num_experts", facts.experts],
    ["num_experts_per_tok", used],
    ["moe_intermediate_size", facts.number("expert_feed_forward_length")],
    ["norm_topk_prob", true],
    ["decoder_sparse_step", 1],
    ["mlp_only_layers", []],
  ];
}

function ropeFields(facts: GgufFacts, rope: RopeTensors): readonly Field[] {
  const theta = facts.number("rope.freq_base", facts.architecture === "gemma3" ? 1e6 : 10_000);
  const local = facts.architecture === "gemma3" ? facts.number("rope.freq_base_swa", 10_000) : undefined;
  const dims = facts.optional("rope.dimension_count");
  const partial = facts.architecture === "phi3" && dims !== undefined && dims !== facts.headDim;
  return [
    ["rope_theta", shortestFloat(theta)],
    ["rope_local_base_freq", local === undefined ? undefined : shortestFloat(local)],
    ["partial_rotary_factor", partial ? new Float(dims / facts.headDim) : undefined],
    [
      "original_max_position_embeddings",
      facts.architecture === "phi3" ? facts.optional("rope.scaling.original_context_length") : undefined,
    ],
    ["rope_scaling", ropeScalingOf(rope, { theta, dims: facts.headDim }) ?? linearRopeScaling(facts)],
  ];
}

/** Layers whose loaders divide by hidden / heads instead of head_dim: the 27B models. */
const LARGE_GEMMAS: Readonly<Record<string, number>> = { gemma2: 46, gemma3: 62 };

function windowFields(facts: GgufFacts): readonly Field[] {
  const { architecture } = facts;
  const cap = (key: string): Json | undefined => {
    const value = facts.optional(key);
    return value === undefined ? undefined : shortestFloat(value);
  };
  const window = facts.optional("attention.sliding_window");
  const fields: Field[] = [
    ["sliding_window", window === 0 ? null : window],
    ["attn_logit_softcapping", cap("attn_logit_softcapping")],
    ["final_logit_softcapping", cap("final_logit_softcapping")],
  ];
  const large = LARGE_GEMMAS[architecture];
  if (large === undefined) return fields;
  const scalar =
    facts.number("block_count") === large ? facts.number("embedding_length") / facts.heads : facts.headDim;
  fields.push(["query_pre_attn_scalar", scalar]);
  if (architecture === "gemma3") {
    fields.push(["sliding_window_pattern", facts.optional("attention.sliding_window_pattern") ?? 6]);
  }
  return fields;
}

/** The float type that most bytes have; what was quantized is served in float16. */
function torchDType(tensors: ReadonlyMap<string, TensorInfo>): string {
  const shares = new Map<string, number>();
  for (const { dtype, nbytes } of tensors.values()) shares.set(dtype, (shares.get(dtype) ?? 0) + nbytes);
  const [largest] = [...shares].sort((a, b) => b[1] - a[1])[0] ?? ["float16"];
  return ["float32", "bfloat16"].includes(largest) ? largest : "float16";
}
