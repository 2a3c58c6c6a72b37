import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { ChatMessage, ContentPart, PromptInput } from "../../src/chat-config/render-prompt.ts";
import { renderPrompt } from "../../src/chat-config/render-prompt.ts";
import { TEMPLATE_NAMES, templateNamed } from "../../src/chat-config/templates.ts";

type RawPart = { type: string; text?: string; image_url?: string | { url: string } };
type RawConversation = {
  system_message?: string;
  function_string?: string;
  messages: [string, string | null | RawPart[]][];
};
type Expected = (string | { image_url: string })[] | { error: string };
interface Golden {
  conversations: Record<string, RawConversation>;
  expected: Record<string, Record<string, Expected>>;
}

const golden = JSON.parse(
  readFileSync(new URL("../golden/chat-templates/prompts.json", import.meta.url), "utf8"),
) as Golden;

function toPart(part: RawPart): ContentPart {
  if (part.type === "text") return { type: "text", text: part.text ?? "" };
  const image = part.image_url ?? "";
  return { type: "image_url", imageUrl: typeof image === "string" ? image : image.url };
}

function toInput(raw: RawConversation): PromptInput {
  const messages = raw.messages.map(
    ([role, content]): ChatMessage => ({
      role,
      content: Array.isArray(content) ? content.map(toPart) : content,
    }),
  );
  return {
    messages,
    ...(raw.system_message === undefined ? {} : { systemMessage: raw.system_message }),
    ...(raw.function_string === undefined ? {} : { functionString: raw.function_string }),
  };
}

describe("rendering a prompt", () => {
  it("knows exactly the templates that upstream registers", () => {
    expect(TEMPLATE_NAMES).toEqual(Object.keys(golden.expected).sort());
    expect(TEMPLATE_NAMES).toHaveLength(53);
  });

  for (const [name, prompts] of Object.entries(golden.expected)) {
    it(`gives upstream's text for every conversation of ${name}`, () => {
      const template = templateNamed(name);
      let compared = 0;
      for (const [conversation, expected] of Object.entries(prompts)) {
        const raw = golden.conversations[conversation];
        if (!raw) throw new Error(`no conversation ${conversation}`);
        const render = () => renderPrompt(template, toInput(raw));
        if ("error" in expected) expect(render, conversation).toThrow(/expected a role of/);
        else {
          const items = render().map((item) =>
            typeof item === "string" ? item : { image_url: item.imageUrl },
          );
          expect(items, conversation).toEqual(expected);
        }
        compared++;
      }
      expect(compared).toBe(12);
    });
  }

  it("puts content that looks like a replacement pattern in literally", () => {
    const [text] = renderPrompt(templateNamed("chatml_nosystem"), {
      messages: [{ role: "user", content: "$& $1 $$" }],
    });
    expect(text).toBe("<|im_start|>user\n$& $1 $$<|im_end|>\n");
  });
});

const dialogueA: ChatMessage[] = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: null },
];
const dialogueB: ChatMessage[] = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Ahoy!" },
  { role: "user", content: "And you?" },
  { role: "assistant", content: null },
];
const pirate = "You are a pirate.";
const weather: ChatMessage = { role: "user", content: "Weather?" };
const reply: ChatMessage = { role: "assistant", content: null };
const tool: ChatMessage[] = [
  weather,
  { role: "assistant", content: '[{"name": "w"}]' },
  { role: "tool", content: '{"t": 20}' },
  reply,
];

describe("the worked examples of the specification", () => {
  const examples: readonly [string, PromptInput, string, readonly number[] | null][] = [
    [
      "llama-3_1",
      { messages: dialogueA },
      "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful, respectful and honest assistant.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
      [128000],
    ],
    [
      "llama-3_1",
      { messages: dialogueA, systemMessage: "" },
      "<|start_header_id|>system<|end_header_id|>\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
      [128000],
    ],
    [
      "llama-2",
      { messages: dialogueB, systemMessage: pirate },
      "[INST] <<SYS>>\nYou are a pirate.\n<</SYS>>\n\nHi [/INST] Ahoy! </s><s>[INST] And you? [/INST] ",
      [1],
    ],
    [
      "mistral_default",
      { messages: dialogueB, systemMessage: pirate },
      "[INST] You are a pirate.Hi [/INST] Ahoy! [INST] And you? [/INST]",
      [1],
    ],
    [
      "chatml_nosystem",
      { messages: dialogueA },
      "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
      null,
    ],
    [
      "deepseek",
      { messages: dialogueB, systemMessage: pirate },
      "You are a pirate.User: Hi\n\nAssistant: Ahoy!<｜end▁of▁sentence｜>User: And you?\n\nAssistant:",
      [100000],
    ],
    [
      "gorilla",
      { messages: [weather, reply], functionString: '[{"name": "get_weather"}]' },
      'A chat between a curious user and an artificial intelligence assistant. The assistant provides helpful, detailed, and polite responses to the user\'s inquiries.USER: <<question>> Weather? <<function>> [{"name": "get_weather"}]\nASSISTANT:',
      [1],
    ],
    [
      "hermes2_pro_llama3",
      { messages: tool, systemMessage: "S" },
      '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n[{"name": "w"}]<|im_end|>\n<|im_start|>tool\n{"t": 20}<|im_end|>\n<|im_start|>assistant\n',
      null,
    ],
    [
      "gemma3_instruction",
      { messages: dialogueA, systemMessage: pirate },
      "You are a pirate.<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
      [2],
    ],
    [
      "llama-4",
      { messages: dialogueA, systemMessage: pirate },
      "<|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n",
      [200000],
    ],
    ["LM", { messages: dialogueB, systemMessage: pirate }, "You are a pirate.HiAhoy!And you?", [1]],
  ];
  for (const [index, [name, input, text, prefix]] of examples.entries()) {
    it(`agree for example ${index + 1}, ${name}`, () => {
      const template = templateNamed(name);
      expect(renderPrompt(template, input)).toEqual([text]);
      expect(template.systemPrefixTokenIds).toEqual(prefix);
    });
  }

  it("keep images apart from the text (example 12, llava)", () => {
    const content: ContentPart[] = [
      { type: "text", text: "Look:" },
      { type: "image_url", imageUrl: "1" },
      { type: "image_url", imageUrl: "2" },
      { type: "text", text: "What is it?" },
    ];
    expect(renderPrompt(templateNamed("llava"), { messages: [{ role: "user", content }, reply] })).toEqual([
      "\nLook:",
      { imageUrl: "1" },
      "\n",
      { imageUrl: "2" },
      "\nWhat is it? ASSISTANT:",
    ]);
  });

  it("strip reasoning from history where the template says so", () => {
    const messages: ChatMessage[] = [
      { role: "user", content: "1+1?" },
      { role: "assistant", content: "<think>\nsum\n</think>\n\n2" },
      { role: "user", content: "Thanks" },
      reply,
    ];
    expect(renderPrompt(templateNamed("qwen3"), { messages })[0]).toContain(
      "<|im_start|>assistant\n2<|im_end|>\n",
    );
    expect(renderPrompt(templateNamed("qwen2"), { messages })[0]).toContain(
      "<|im_start|>assistant\n<think>\nsum\n</think>\n\n2<|im_end|>\n",
    );
  });
});
