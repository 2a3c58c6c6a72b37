import { describe, expect, it } from "vitest";
import type { TemplateEvidence } from "../../src/chat-config/guess-template.ts";
import { guessTemplate } from "../../src/chat-config/guess-template.ts";
import { vocabularyWith } from "./published-templates.ts";

type Evidence = Partial<Omit<TemplateEvidence, "vocabulary">> & { tokens?: Record<string, number> };

function guess({ tokens = {}, ...evidence }: Evidence): string | undefined {
  const nothing = {
    modelType: "llama",
    modelName: "",
    chatTemplate: undefined,
    replyHeader: "",
    eosToken: "",
  };
  return guessTemplate({ ...nothing, ...evidence, vocabulary: vocabularyWith(tokens) })?.name;
}

describe("the table of templates", () => {
  const rows: readonly [string, Evidence, string | undefined][] = [
    ["an embedding model", { modelType: "bert", chatTemplate: "<|im_start|>" }, "LM"],
    ["rwkv", { modelType: "rwkv6" }, "rwkv_world"],
    ["a base model", {}, "LM"],
    ["gpt2", { modelType: "gpt2" }, "gpt2"],
    ["a base model of codellama", { modelName: "codellama/codellama-7b-hf" }, "codellama_completion"],
    [
      "a name without a chat template",
      { modelName: "togethercomputer/redpajama-incite-chat-3b" },
      "redpajama_chat",
    ],
    [
      "r1 on qwen",
      { chatTemplate: "<｜User｜>", tokens: { "<｜end▁of▁sentence｜>": 151643 } },
      "deepseek_r1_qwen",
    ],
    [
      "r1 on llama",
      { chatTemplate: "<｜User｜>", tokens: { "<｜end▁of▁sentence｜>": 128001 } },
      "deepseek_r1_llama",
    ],
    ["deepseek v3", { chatTemplate: "<｜User｜>", tokens: { "<｜end▁of▁sentence｜>": 1 } }, "deepseek_v3"],
    ["llama 4", { chatTemplate: "<|header_start|>" }, "llama-4"],
    ["llama 3", { chatTemplate: "<|start_header_id|>" }, "llama-3"],
    ["llama 3.1", { chatTemplate: "<|start_header_id|>", tokens: { "<|eom_id|>": 128008 } }, "llama-3_1"],
    ["ministral", { modelType: "ministral3", chatTemplate: "[SYSTEM_PROMPT]" }, "ministral3"],
    [
      "thinking ministral",
      { modelType: "ministral3", chatTemplate: "[SYSTEM_PROMPT][THINK]" },
      "ministral3_reasoning",
    ],
    ["llama 2", { chatTemplate: "[INST] <<SYS>>" }, "llama-2"],
    ["mistral", { modelType: "mistral", chatTemplate: "[INST]" }, "mistral_default"],
    ["phi 4 of 14 billion", { modelType: "phi3", chatTemplate: "<|im_start|>x<|im_sep|>" }, undefined],
    ["qwen 3.5", { modelType: "qwen3_5", chatTemplate: "<|im_start|>" }, "qwen3_5"],
    [
      "qwen 3.5 without thinking",
      { modelType: "qwen3_5", chatTemplate: "<|im_start|>", replyHeader: "<think>\n\n</think>" },
      "qwen3_5_nothink",
    ],
    ["qwen 3", { modelType: "qwen3_moe", chatTemplate: "<|im_start|>" }, "qwen3"],
    [
      "hermes on llama 3",
      { modelName: "hermes-2-pro", chatTemplate: "<|im_start|>", tokens: { "<|im_end|>": 128003 } },
      "hermes2_pro_llama3",
    ],
    ["other chatml", { chatTemplate: "<|im_start|>", tokens: { "<|im_end|>": 2 } }, "chatml"],
    [
      "gemma",
      { modelType: "gemma2", chatTemplate: "<start_of_turn>", tokens: { "<end_of_turn>": 107 } },
      "gemma_instruction",
    ],
    [
      "gemma 3",
      { modelType: "gemma3", chatTemplate: "<start_of_turn>", tokens: { "<end_of_turn>": 106 } },
      "gemma3_instruction",
    ],
    ["phi 3 vision", { modelType: "phi3_v", chatTemplate: "<|end|>" }, "phi-3-vision"],
    ["phi 3", { modelType: "phi3", chatTemplate: "<|end|>" }, "phi-3"],
    ["phi 4 mini", { modelType: "phi3", chatTemplate: "<|end|>", tokens: { "<|tool|>": 200023 } }, "phi-4"],
    ["aya", { modelType: "cohere", chatTemplate: "<|START_OF_TURN_TOKEN|>" }, "aya-23"],
    ["nemotron", { modelType: "nemotron", chatTemplate: "<extra_id_0>" }, "nemotron"],
    ["orion", { modelType: "orion", chatTemplate: "Human: " }, "orion"],
    ["olmo 2", { modelType: "olmo2", chatTemplate: "<|user|><|assistant|>" }, "olmo2"],
    [
      "stablelm 2",
      {
        modelType: "stablelm",
        chatTemplate: "<|user|><|assistant|>",
        eosToken: "<|endoftext|>",
        tokens: { "<|endoftext|>": 100257 },
      },
      "stablelm-2",
    ],
    ["tinyllama", { chatTemplate: "<|user|><|assistant|>", eosToken: "</s>" }, "tinyllama_v1_0"],
    ["deepseek", { modelType: "deepseek_v2", chatTemplate: "User: Assistant:" }, "deepseek_v2"],
    [
      "a name with an unknown chat template",
      { modelName: "wizardmath-7b", chatTemplate: "?" },
      "wizard_coder_or_math",
    ],
    [
      "a chat model known by its tokens",
      { modelType: "qwen2", modelName: "qwen/qwen2-0.5b-instruct", tokens: { "<|im_start|>": 151644 } },
      "qwen2",
    ],
    ["a base model with the same tokens", { modelType: "qwen2", tokens: { "<|im_start|>": 151644 } }, "LM"],
    ["a chat model with nothing to go by", { modelName: "org/some-chat" }, "LM"],
    ["nothing known", { modelName: "vicuna", chatTemplate: "?" }, undefined],
  ];
  for (const [what, evidence, expected] of rows) {
    it(`gives ${expected ?? "nothing"} for ${what}`, () => {
      expect(guess(evidence)).toBe(expected);
    });
  }
});
