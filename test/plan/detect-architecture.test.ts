import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/json.ts";
import { detectArchitecture } from "../../src/plan/detect-architecture.ts";

const config = (members: Readonly<Record<string, Json>>) => new Map(Object.entries(members));

describe("detection", () => {
  it("takes model_type, without a word where everything agrees", async () => {
    const found = await detectArchitecture(
      config({ model_type: "llama", architectures: ["LlamaForCausalLM"] }),
    );
    expect(found).toEqual({ key: "llama", notices: [] });
  });

  it("falls back to model_config.model_type", async () => {
    const found = await detectArchitecture(config({ model_config: config({ model_type: "qwen2" }) }));
    expect(found.key).toBe("qwen2");
  });

  it("lets the override win over everything", async () => {
    const found = await detectArchitecture(config({ model_type: "llama" }), "eagle");
    expect(found).toEqual({ key: "eagle", notices: [] });
  });

  it("reads mixformer-sequential as phi-msft", async () => {
    const { key, notices } = await detectArchitecture(config({ model_type: "mixformer-sequential" }));
    expect(key).toBe("phi-msft");
    expect(notices).toEqual(['model_type "mixformer-sequential" is read as phi-msft']);
  });

  it("reads the wrapper of a Ministral as ministral3", async () => {
    const { key, notices } = await detectArchitecture(
      config({
        model_type: "mistral3",
        architectures: ["Mistral3ForConditionalGeneration"],
        text_config: config({ model_type: "ministral3" }),
      }),
    );
    expect(key).toBe("ministral3");
    expect(notices[0]).toContain("is read as ministral3");
  });

  it("does not take another model in the same wrapper for a Ministral, but names the likeness", async () => {
    const wrapper = config({
      model_type: "mistral3",
      architectures: ["Mistral3ForConditionalGeneration"],
      text_config: config({ model_type: "mistral" }),
    });
    await expect(detectArchitecture(wrapper)).rejects.toMatchObject({
      code: "E_UNKNOWN_ARCHITECTURE",
      hint: expect.stringContaining('did you mean "ministral3"?'),
    });
  });

  it("takes the embedding model by its class", async () => {
    const found = await detectArchitecture(config({ model_type: "qwen3", architectures: ["Qwen3Model"] }));
    expect(found.key).toBe("qwen3-embedding");
  });

  it("keeps a BGE model's key, but says what it looks like", async () => {
    const path = "/root/.cache/torch/sentence_transformers/BAAI_bge-small-en/";
    const found = await detectArchitecture(
      config({ model_type: "bert", architectures: ["BertModel"], _name_or_path: path }),
    );
    expect(found.key).toBe("bert");
    expect(found.notices[0]).toContain("--model-type bert-bge");
  });

  it("says so if the class belongs to another architecture", async () => {
    const { notices } = await detectArchitecture(
      config({ model_type: "llama", architectures: ["MistralForCausalLM"] }),
    );
    expect(notices).toEqual([
      'config.json says model_type "llama", but its class MistralForCausalLM is that of mistral',
    ]);
  });

  it("refuses an unknown model type with the nearest key", async () => {
    await expect(detectArchitecture(config({ model_type: "lama" }))).rejects.toMatchObject({
      code: "E_UNKNOWN_ARCHITECTURE",
      message: 'unknown model type "lama"',
      hint: expect.stringMatching(/^did you mean "llama"\? name one with --model-type: baichuan, /),
    });
    await expect(detectArchitecture(config({}), "qwen3_6")).rejects.toMatchObject({
      hint: expect.stringContaining('did you mean "qwen3'),
    });
  });

  it("guesses nothing for a model type that is like no key", async () => {
    await expect(detectArchitecture(config({ model_type: "zzzzzzzz" }))).rejects.toMatchObject({
      hint: expect.stringMatching(/^name one with/),
    });
  });

  it("refuses a config without model_type, and says what its class suggests", async () => {
    await expect(detectArchitecture(config({ architectures: ["Qwen2ForCausalLM"] }))).rejects.toMatchObject({
      code: "E_MODEL_TYPE_MISSING",
      hint: "name the architecture with --model-type (its class is that of qwen2)",
    });
  });
});
