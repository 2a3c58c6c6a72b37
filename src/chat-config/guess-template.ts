import { TEMPLATES } from "./templates.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** What the choice of a template looks at (chat-templates.md §7). */
export interface TemplateEvidence {
  /** Registry key of the architecture. */
  readonly modelType: string;
  /** Repository or folder name and `_name_or_path`, lower case. */
  readonly modelName: string;
  /** Text of the chat template, if the checkpoint has one. */
  readonly chatTemplate: string | undefined;
  /** What the chat template ends a prompt with; row 11. */
  readonly replyHeader: string;
  readonly eosToken: string;
  readonly vocabulary: Vocabulary;
}

export interface TemplateGuess {
  readonly name: string;
  /** Why, as the end of "because …". */
  readonly reason: string;
}

type Rule = (evidence: TemplateEvidence) => TemplateGuess | undefined;

const NAME_RULES: readonly (readonly [RegExp, string])[] = [
  [/redpajama/, "redpajama_chat"],
  [/dolly/, "dolly"],
  [/oasst/, "oasst"],
  [/stablelm-tuned/, "stablelm"],
  [/wizardlm/, "wizardlm_7b"],
  [/wizardcoder|wizardmath/, "wizard_coder_or_math"],
  [/openfunctions-v2/, "gorilla-openfunctions-v2"],
  [/gorilla/, "gorilla"],
  [/llm-jp/, "llm-jp"],
  [/codellama.*instruct/, "codellama_instruct"],
];

/** Base models have no chat template; these are what upstream registers for their architectures. */
const BASE_TEMPLATES: Readonly<Record<string, string>> = {
  gpt2: "gpt2",
  gpt_bigcode: "gpt_bigcode",
  phi: "phi-2",
  "phi-msft": "phi-2",
  qwen: "qwen2",
};

/** Embedding and draft models hold no conversation, whatever template came with their tokenizer. */
export const SILENT_TYPES: readonly string[] = ["bert", "bert-bge", "qwen3-embedding", "medusa", "eagle"];

const BY_TYPE: readonly (readonly [readonly string[], string])[] = [
  [SILENT_TYPES, "LM"],
  [["rwkv5", "rwkv6"], "rwkv_world"],
];

const CHATML_CANDIDATES = ["open_hermes_mistral", "hermes2_pro_llama3", "hermes3_llama-3_1", "qwen2"];
const byType: Rule = ({ modelType }) => {
  const row = BY_TYPE.find(([types]) => types.includes(modelType));
  return row && { name: row[1], reason: `the model type is ${modelType}` };
};

const byName: Rule = ({ modelName }) => {
  const row = NAME_RULES.find(([pattern]) => pattern.test(modelName));
  return row && { name: row[1], reason: `the model's name is ${modelName}` };
};

const baseModel: Rule = ({ chatTemplate, modelType, modelName }) => {
  if (chatTemplate !== undefined) return undefined;
  const reason = "the checkpoint has no chat template and is taken for a base model";
  const name = modelName.includes("codellama") ? "codellama_completion" : BASE_TEMPLATES[modelType];
  return { name: name ?? "LM", reason };
};

/** A rule for templates that contain a text. */
function containing(mark: string, choose: (evidence: TemplateEvidence) => string | undefined): Rule {
  return (evidence) => {
    if (!hasMark(evidence, mark)) return undefined;
    const name = choose(evidence);
    const where = evidence.chatTemplate === undefined ? "tokenizer" : "chat template";
    return name === undefined ? undefined : { name, reason: `its ${where} contains ${mark}` };
  };
}

/** Looks into the chat template, or without one into the tokenizer. */
function hasMark({ chatTemplate, vocabulary }: TemplateEvidence, mark: string): boolean {
  return chatTemplate?.includes(mark) ?? vocabulary.added.some((token) => token.includes(mark));
}

function ofType(types: readonly string[], name: string): Rule {
  return ({ modelType }) =>
    types.includes(modelType) ? { name, reason: `the model type is ${modelType}` } : undefined;
}

function deepseekR1({ vocabulary, modelType }: TemplateEvidence): string {
  const id = vocabulary.idOf("<｜end▁of▁sentence｜>");
  if (id === 151643) return "deepseek_r1_qwen";
  if (id === 128001) return "deepseek_r1_llama";
  if (id === 1) return "deepseek_v3";
  if (modelType.startsWith("qwen2")) return "deepseek_r1_qwen";
  return modelType === "llama" ? "deepseek_r1_llama" : "deepseek_v3";
}

function chatml({ modelType, modelName, vocabulary, replyHeader }: TemplateEvidence): string {
  if (modelType.startsWith("qwen3_5"))
    return replyHeader.includes("</think>") ? "qwen3_5_nothink" : "qwen3_5";
  if (modelType === "qwen3" || modelType === "qwen3_moe") return "qwen3";
  if (["qwen2", "qwen2_moe", "qwen"].includes(modelType)) return "qwen2";
  const end = vocabulary.idOf("<|im_end|>");
  const fits = CHATML_CANDIDATES.filter(
    (name) =>
      end !== undefined &&
      TEMPLATES.get(name)?.stopTokenIds.includes(end) &&
      (name === "qwen2" || modelName.includes("hermes")),
  );
  return fits[0] ?? "chatml";
}

function zephyr({ modelType, vocabulary, eosToken }: TemplateEvidence): string | undefined {
  if (modelType === "olmo" || modelType === "olmo2") return modelType;
  if (modelType === "stablelm") return vocabulary.idOf(eosToken) === 100257 ? "stablelm-2" : "stablelm-3b";
  return eosToken === "</s>" ? "tinyllama_v1_0" : undefined;
}

/** First match wins; the numbers are the rows of chat-templates.md §7. */
const RULES: readonly Rule[] = [
  byType, // 1, 2
  (evidence) => (evidence.chatTemplate === undefined ? byName(evidence) : undefined), // 20 before 3
  (evidence) => (isChatName(evidence.modelName) ? undefined : baseModel(evidence)), // 3
  containing("<｜User｜>", deepseekR1), // 4
  containing("<|header_start|>", () => "llama-4"), // 5
  containing("<|start_header_id|>", ({ vocabulary }) =>
    vocabulary.idOf("<|eom_id|>") === undefined ? "llama-3" : "llama-3_1",
  ), // 6
  containing("[SYSTEM_PROMPT]", ({ modelType, chatTemplate, vocabulary }) => {
    if (modelType !== "ministral3") return undefined;
    const thinks = chatTemplate?.includes("[THINK]") || vocabulary.idOf("[THINK]") !== undefined;
    return thinks ? "ministral3_reasoning" : "ministral3";
  }), // 7
  containing("<<SYS>>", () => "llama-2"), // 8
  containing("[INST]", () => "mistral_default"), // 9
  // Row 10: `<|im_sep|>` fits no template, and the rows below must not take it.
  containing("<|im_start|>", (evidence) => (hasMark(evidence, "<|im_sep|>") ? undefined : chatml(evidence))), // 11
  containing("<start_of_turn>", ({ vocabulary, modelType }) => {
    const id = vocabulary.idOf("<end_of_turn>");
    if (id === 107) return "gemma_instruction";
    return id === 106 || modelType.startsWith("gemma3") ? "gemma3_instruction" : "gemma_instruction";
  }), // 12
  ofType(["phi3_v"], "phi-3-vision"), // 13
  containing("<|end|>", ({ vocabulary }) =>
    vocabulary.idOf("<|tool|>") !== undefined || vocabulary.idOf("<|end|>") === 200020 ? "phi-4" : "phi-3",
  ), // 14
  containing("<|START_OF_TURN_TOKEN|>", () => "aya-23"), // 15
  containing("<extra_id_0>", () => "nemotron"), // 16
  ofType(["orion"], "orion"), // 17
  ofType(["chatglm"], "glm"),
  ofType(["llava"], "llava"),
  (evidence) => (hasMark(evidence, "<|assistant|>") ? containing("<|user|>", zephyr)(evidence) : undefined), // 18
  (evidence) =>
    ["deepseek", "deepseek_v2"].includes(evidence.modelType) && evidence.chatTemplate?.includes("Assistant:")
      ? containing("User: ", ({ modelType }) => modelType)(evidence)
      : undefined, // 19
  byName, // 20
  baseModel,
];

/** Names under which chat models without a chat template are published. */
function isChatName(modelName: string): boolean {
  return /instruct|chat|zephyr|hermes|-it\b/.test(modelName);
}

/**
 * The first guess, or `undefined` when no row of the table fits. A chat model without a chat template is
 * judged by the turn marks among its tokenizer's added tokens.
 */
export function guessTemplate(evidence: TemplateEvidence): TemplateGuess | undefined {
  for (const rule of RULES) {
    const guess = rule(evidence);
    if (guess) return guess;
  }
  return undefined;
}
