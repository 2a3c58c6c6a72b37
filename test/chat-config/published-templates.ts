import type { ChatTemplate } from "../../src/chat-config/chat-template.ts";
import { makeChatTemplate } from "../../src/chat-config/chat-template.ts";
import type { SelectionInput } from "../../src/chat-config/select-template.ts";
import { templateNamed } from "../../src/chat-config/templates.ts";
import type { Vocabulary } from "../../src/chat-config/vocabulary.ts";
import { readVocabulary } from "../../src/chat-config/vocabulary.ts";
import type { Json } from "../../src/core/json.ts";

/** A tokenizer that knows only special tokens. */
export function vocabularyWith(tokens: Readonly<Record<string, number>>): Vocabulary {
  const added = Object.entries(tokens).map(
    ([content, id]) =>
      new Map<string, Json>([
        ["id", id],
        ["content", content],
        ["special", true],
      ]),
  );
  return readVocabulary(new Map<string, Json>([["added_tokens", added]]));
}

/** A model as far as its chat template is concerned. The Jinja texts follow the families' published form. */
export interface PublishedModel {
  readonly modelType: string;
  readonly jinja: string;
  readonly tokens: Readonly<Record<string, number>>;
  readonly bos: string;
  readonly eos: string;
}

const LLAMA_3 = `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`;

/** Writes the date into every system turn, as Llama 3.1 does. */
const LLAMA_3_1 = `{{ bos_token }}{% if strftime_now is defined %}{% set today = strftime_now('%d %b %Y') %}{% else %}{% set today = '1 Jan 2000' %}{% endif %}{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] | trim %}{% set messages = messages[1:] %}{% else %}{% set system_message = '' %}{% endif %}{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: ' + today + '\n\n' + system_message + '<|eot_id|>' }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`;

const QWEN = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;

const QWEN3 = `{% set ns = namespace(last=-1) %}{% for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for message in messages %}{% set content = message.content %}{% if message.role == 'assistant' and loop.index0 < ns.last and '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;

const ZEPHYR = `{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}`;

const GEMMA = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}`;

const GEMMA_3 = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}{% for message in rest %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}`;

const MISTRAL = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}{% set rest = messages[1:] %}{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}{% for message in rest %}{% if message['role'] == 'user' %}{{ '[INST] ' + (sys + '\n\n' if sys and loop.first else '') + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}`;

const LLAMA_2 = `{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system_message = false %}{% endif %}{% for message in rest %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}`;

const COMMAND_R = `{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + message['content'] + '<|END_OF_TURN_TOKEN|>' }}{% elif message['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}`;

const PHI_3 = `{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}`;

type ModelName =
  | "llama3"
  | "llama3_1"
  | "qwen2"
  | "qwen3"
  | "zephyr"
  | "gemma"
  | "gemma3"
  | "mistral"
  | "llama2"
  | "commandR"
  | "phi3";

export const MODELS: Readonly<Record<ModelName, PublishedModel>> = {
  llama3: {
    modelType: "llama",
    jinja: LLAMA_3,
    tokens: {
      "<|begin_of_text|>": 128000,
      "<|end_of_text|>": 128001,
      "<|eom_id|>": 128008,
      "<|eot_id|>": 128009,
    },
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
  },
  llama3_1: {
    modelType: "llama",
    jinja: LLAMA_3_1,
    tokens: {
      "<|begin_of_text|>": 128000,
      "<|end_of_text|>": 128001,
      "<|eom_id|>": 128008,
      "<|eot_id|>": 128009,
    },
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
  },
  qwen2: {
    modelType: "qwen2",
    jinja: QWEN,
    tokens: { "<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645 },
    bos: "",
    eos: "<|im_end|>",
  },
  qwen3: {
    modelType: "qwen3",
    jinja: QWEN3,
    tokens: { "<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645 },
    bos: "",
    eos: "<|im_end|>",
  },
  zephyr: {
    modelType: "llama",
    jinja: ZEPHYR,
    tokens: { "<unk>": 0, "<s>": 1, "</s>": 2 },
    bos: "<s>",
    eos: "</s>",
  },
  gemma: {
    modelType: "gemma",
    jinja: GEMMA,
    tokens: { "<pad>": 0, "<eos>": 1, "<bos>": 2, "<start_of_turn>": 106, "<end_of_turn>": 107 },
    bos: "<bos>",
    eos: "<eos>",
  },
  gemma3: {
    modelType: "gemma3_text",
    jinja: GEMMA_3,
    tokens: { "<pad>": 0, "<eos>": 1, "<bos>": 2, "<start_of_turn>": 105, "<end_of_turn>": 106 },
    bos: "<bos>",
    eos: "<eos>",
  },
  mistral: {
    modelType: "mistral",
    jinja: MISTRAL,
    tokens: { "<unk>": 0, "<s>": 1, "</s>": 2 },
    bos: "<s>",
    eos: "</s>",
  },
  llama2: {
    modelType: "llama",
    jinja: LLAMA_2,
    tokens: { "<unk>": 0, "<s>": 1, "</s>": 2 },
    bos: "<s>",
    eos: "</s>",
  },
  commandR: {
    modelType: "cohere",
    jinja: COMMAND_R,
    tokens: { "<BOS_TOKEN>": 5, "<|END_OF_TURN_TOKEN|>": 255001, "<EOS>": 6 },
    bos: "<BOS_TOKEN>",
    eos: "<|END_OF_TURN_TOKEN|>",
  },
  phi3: {
    modelType: "phi3",
    jinja: PHI_3,
    tokens: { "<s>": 1, "</s>": 2, "<|endoftext|>": 32000, "<|end|>": 32007 },
    bos: "<s>",
    eos: "<|endoftext|>",
  },
};

/** The chat template of a model. */
export function chatTemplateOf(model: PublishedModel): ChatTemplate {
  return makeChatTemplate(model.jinja, "tokenizer_config.json", namedOf(model));
}

function namedOf(model: PublishedModel): ReadonlyMap<string, Json> {
  return new Map<string, Json>([
    ["bos_token", model.bos],
    ["eos_token", model.eos],
  ]);
}

/** What the selection gets for a model, with a template named or not. */
export function selectionFor(model: PublishedModel, requested?: string): SelectionInput {
  const vocabulary = vocabularyWith(model.tokens);
  return {
    requested: requested === undefined ? undefined : templateNamed(requested),
    modelType: model.modelType,
    modelName: "some-model",
    chatTemplate: chatTemplateOf(model),
    vocabulary,
    ids: new Map<string, Json>([
      ["bos_token_id", vocabulary.idOf(model.bos) ?? null],
      ["eos_token_id", vocabulary.idOf(model.eos) ?? null],
    ]),
    named: namedOf(model),
  };
}
