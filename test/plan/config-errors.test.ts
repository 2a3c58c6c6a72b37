import { describe, expect, it } from "vitest";
import { Float, isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import { deriveForChatConfig } from "../../src/plan/chat-derivation.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { sourceNames } from "../../src/plan/table.ts";
import { readGolden } from "./reference-tables.ts";

const cases = readGolden("cases.json");

/** The config of a golden case with some members replaced; undefined removes one. */
function changed(id: string, members: Readonly<Record<string, Json | undefined>>): JsonObject {
  const entry = cases.get(id);
  const config = isObject(entry) ? entry.get("config") : undefined;
  if (!isObject(config)) throw new Error(`${id} is missing`);
  const copy = new Map(config);
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined) copy.delete(name);
    else copy.set(name, value);
  }
  return copy;
}

const object = (members: Readonly<Record<string, Json>>): JsonObject => new Map(Object.entries(members));

async function derive(key: string, config: JsonObject) {
  return (await architectureOf(key)).derive(config);
}

async function table(key: string, config: JsonObject) {
  const architecture = await architectureOf(key);
  return architecture.parameters(architecture.derive(config));
}

describe("a config is refused, naming class and field,", () => {
  it.each([
    [
      "a required field that is missing",
      { rms_norm_eps: undefined },
      "E_CONFIG_FIELD_MISSING",
      "LlamaConfig.rms_norm_eps",
    ],
    [
      "a field of another type",
      { hidden_size: "96" },
      "E_CONFIG_FIELD_TYPE",
      "LlamaConfig.hidden_size: expected an integer",
    ],
    ["a float where an integer belongs", { hidden_size: new Float(96) }, "E_CONFIG_FIELD_TYPE", "found 96.0"],
    ["null in a required field", { vocab_size: null }, "E_CONFIG_FIELD_TYPE", "found null"],
    ["no context length", { max_position_embeddings: undefined }, "E_CONTEXT_UNKNOWN", "max_sequence_length"],
    [
      "heads that kv heads do not divide",
      { num_key_value_heads: 5 },
      "E_CONFIG_CONSTRAINT",
      "num_key_value_heads (5)",
    ],
    ["no kv heads at all", { num_key_value_heads: -1 }, "E_CONFIG_CONSTRAINT", "must be positive"],
    ["too many pipeline stages", { pipeline_parallel_stages: 99 }, "E_CONFIG_CONSTRAINT", "between 1 and"],
    [
      "rope scaling of another type",
      { rope_scaling: object({ rope_type: "yarn" }) },
      "E_ROPE_SCALING",
      '"yarn"',
    ],
  ] as const)("for %s", async (_, members, code, words) => {
    const config = changed("packing-llama", members);
    await expect(derive("llama", config)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
  });

  it.each([
    ["gemma", "gemma-0", { hidden_activation: "silu" }, "hidden_activation must be gelu"],
    ["gemma", "gemma-0", { attention_bias: true }, "attention_bias must be false"],
    ["qwen2", "qwen2-0", { num_attention_heads: 5 }, "times num_attention_heads (5)"],
    ["mistral", "mistral-0", { attention_sink_size: -1 }, "attention_sink_size must not be negative"],
    ["olmo", "olmo-0", { clip_qkv: new Float(0) }, "clip_qkv must be null or positive"],
    ["rwkv5", "rwkv5-0", { model_version: "5_1" }, 'model_version must be "5_2"'],
    ["rwkv6", "rwkv6-0", { tensor_parallel_shards: 2 }, "tensor_parallel_shards must be 1"],
    ["rwkv6", "rwkv6-0", { head_size: 7 }, "divisible by head_size"],
    ["chatglm", "chatglm-0", { padded_vocab_size: undefined }, "padded_vocab_size"],
    ["phi3", "phi3-0", { rope_scaling: object({ type: "linear" }) }, "rope_scaling.type"],
    [
      "phi3_v",
      "phi3_v-0",
      { vision_config: object({ hidden_size: 768 }) },
      "vision_config.hidden_size: expected 1024",
    ],
    ["qwen3", "qwen3-0", { quantization_config: object({ quant_method: "gptq" }) }, "quantization_config"],
    [
      "ministral3",
      "ministral3-0",
      { quantization_config: object({ quant_method: "fp8" }) },
      "activation_scheme",
    ],
    ["llava", "llava-0", { text_config: object({ _name_or_path: "a/b" }) }, 'names the text model "a/b"'],
  ] as const)("as %s of %s with %o", async (key, id, members, words) => {
    await expect(derive(key, changed(id, members))).rejects.toThrow(words);
  });

  it.each([
    [
      "llama",
      "packing-llama",
      { hidden_size: 100, head_dim: 16, num_attention_heads: 8 },
      "hidden_size (100) must be divisible",
    ],
    ["qwen2", "qwen2-0", { hidden_act: "tanh" }, "hidden_act must be one of"],
    ["qwen3", "qwen3-0", { head_dim: undefined }, "head_dim is missing"],
    ["qwen3_moe", "qwen3_moe-0", { decoder_sparse_step: 2 }, "decoder_sparse_step (2)"],
    [
      "qwen3_5",
      "qwen3_5_text-0",
      { vocab_size: undefined, text_config: object({}) },
      "must be given and positive",
    ],
    ["deepseek_v2", "deepseek_v2-0", { topk_method: "best" }, "topk_method must be one of"],
    ["phi-msft", "phi-msft-0", { model_type: "phi" }, 'found "phi"'],
    ["gpt_neox", "gpt_neox-0", { ffn_out_dtype: "int8" }, "ffn_out_dtype"],
    ["llama", "packing-llama", { tensor_parallel_shards: 7 }, "among 7 tensor parallel shards"],
  ] as const)("when the table of %s is made of %s with %o", async (key, id, members, words) => {
    await expect(table(key, changed(id, members))).rejects.toThrow(words);
  });

  it("for dense layers, and for missing rope scaling, of the fourth generation", async () => {
    const inner = (members: Readonly<Record<string, Json>>) => {
      const text = changed("llama4-0", {}).get("text_config");
      return changed("llama4-0", {
        text_config: new Map([...(isObject(text) ? text : []), ...Object.entries(members)]),
      });
    };
    await expect(table("llama4", inner({ interleave_moe_layer_step: 2 }))).rejects.toThrow("layer 0");
    await expect(table("llama4", inner({ rope_scaling: null }))).rejects.toThrow(
      "rope_scaling must be given",
    );
  });
});

describe("a config is taken with a notice", () => {
  it.each([
    ["llama", "packing-llama", { rope_scaling: object({ type: "linear", factor: 2 }) }, "scaling is lost"],
    ["llama", "packing-llama", { rope_scaling: object({ rope_type: "default" }) }, "taken as no scaling"],
    ["llama", "packing-llama", { head_dim: null }, "head_dim is null: taken as 0"],
    ["deepseek_v2", "deepseek_v2-0", { rope_scaling: null }, "upstream cannot compile"],
    [
      "deepseek_v3",
      "deepseek_v3-0",
      { rope_scaling: object({ rope_type: "yarn" }) },
      "upstream cannot compile",
    ],
    ["internlm2", "internlm2-0", { bias: true }, "reordered like its weight"],
    ["deepseek", "deepseek-0", { attention_bias: true }, "joined from its parts"],
  ] as const)("as %s of %s with %o", async (key, id, members, words) => {
    const { notices } = await derive(key, changed(id, members));
    expect(notices).toEqual([expect.stringContaining(words)]);
  });

  it("that names rope_theta in rope_parameters, required or not", async () => {
    const rope = object({ rope_theta: new Float(500000), rope_type: "default" });
    const members = { rope_theta: undefined, rope_parameters: rope };
    const required = await derive("qwen2", changed("qwen2-0", members));
    expect(required.fields.get("rope_theta")).toEqual(new Float(500000));
    const optional = await derive("llama", changed("packing-llama", members));
    expect(optional.fields.get("position_embedding_base")).toEqual(new Float(500000));
    expect([...required.notices, ...optional.notices]).toHaveLength(2);
  });

  it("whose override names a field that the class lacks", async () => {
    const architecture = await architectureOf("qwen2");
    const overrides = object({ sliding_window_size: 4 });
    const { notices } = deriveForChatConfig(architecture, changed("qwen2-0", {}), overrides);
    expect(notices).toEqual(["QWen2Config has no field sliding_window_size: the override is ignored"]);
  });

  it.each([
    [
      "gemma2",
      "gemma2-0",
      { context_window_size: 128 },
      ["sets context_window_size to 256 again: the override 128"],
    ],
    ["gemma3", "gemma3-0", { sliding_window_size: -1 }, ["the override -1 is lost"]],
    ["llama", "packing-llama", { context_window_size: 128 }, []],
    ["llama", "packing-llama", { prefill_chunk_size: 0 }, []],
  ] as const)("of %s whose override is lost: %s with %o", async (key, id, overrides, words) => {
    const architecture = await architectureOf(key);
    const { notices } = deriveForChatConfig(architecture, changed(id, {}), object(overrides));
    expect(notices).toEqual(words.map((text) => expect.stringContaining(text)));
  });
});

describe("what upstream gets wrong", () => {
  it("is right for attention biases of the first DeepSeek", async () => {
    const parameters = await table("deepseek", changed("deepseek-0", { attention_bias: true }));
    const fused = parameters.find(({ name }) => name === "model.layers.0.self_attn.wqkv_pack.bias");
    expect(fused && sourceNames(fused.value)).toEqual(
      ["q", "k", "v"].map((part) => `model.layers.0.self_attn.${part}_proj.bias`),
    );
    expect(parameters.map(({ name }) => name)).toContain("model.layers.0.self_attn.o_proj.bias");
  });

  it("is right for the fused bias of the second InternLM", async () => {
    const parameters = await table("internlm2", changed("internlm2-0", { bias: true }));
    const weight = parameters.find(({ name }) => name.endsWith("0.attention.wqkv.weight"));
    const bias = parameters.find(({ name }) => name.endsWith("0.attention.wqkv.bias"));
    expect(bias?.value.op).toBe(weight?.value.op);
    expect(bias?.shape).toEqual(weight?.shape.slice(0, 1));
  });

  it("is right for GPT-J without n_inner", async () => {
    const parameters = await table("gptj", changed("gptj-0", { n_inner: undefined }));
    const first = parameters.find(({ name }) => name === "transformer.h.0.mlp.fc_in.weight");
    expect(first?.shape).toEqual([4 * 96, 96]);
  });
});

describe("modules that a checkpoint keeps plain", () => {
  it("are marked where upstream's marks have an effect", async () => {
    const quantization = object({
      quant_method: "fp8",
      activation_scheme: "static",
      modules_to_not_convert: ["lm_head", "model.layers.0.mlp", "model.vision_tower"],
    });
    const config = changed("ministral3-0", { quantization_config: quantization, tie_word_embeddings: false });
    const derived = await derive("ministral3", config);
    expect(derived.fields.get("weight_block_size")).toEqual([128, 128]);
    const marked = (await table("ministral3", config)).filter(({ noQuant }) => noQuant);
    expect(marked.map(({ name }) => name)).toEqual(["lm_head.weight"]);
  });
});
