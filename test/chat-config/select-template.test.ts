import { describe, expect, it } from "vitest";
import type { Conversation } from "../../src/chat-config/conversation.ts";
import { selectTemplate } from "../../src/chat-config/select-template.ts";
import { templateNotices } from "../../src/chat-config/template-report.ts";
import { templateNamed } from "../../src/chat-config/templates.ts";
import type { PublishedModel } from "./published-templates.ts";
import { chatTemplateOf, MODELS, selectionFor } from "./published-templates.ts";

const QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
/** Template and model that agree in everything. */
const SOUND = {
  qwen2: { ...templateNamed("qwen2"), systemMessage: QWEN_SYSTEM },
  gemma: templateNamed("gemma_instruction"),
};

function check(model: PublishedModel, requested: Conversation) {
  return selectTemplate({ ...selectionFor(model), requested });
}

describe("checking a conversation template against the checkpoint's own", () => {
  it("finds nothing wrong with the right template", () => {
    for (const name of ["qwen2", "gemma"] as const) {
      const report = check(MODELS[name], SOUND[name]);
      expect(report).toMatchObject({ match: "exact", differences: [], findings: [], better: [] });
      expect(templateNotices(report)).toEqual([]);
    }
  });

  const qwen = SOUND.qwen2;
  const mistakes: readonly [string, keyof typeof SOUND, Partial<Conversation>, RegExp][] = [
    ["a separator without its newline", "qwen2", { seps: ["<|im_end|>"] }, /^seps: after/],
    [
      "a second separator",
      "qwen2",
      { seps: ["<|im_end|>\n", "<|endoftext|>"] },
      /^seps: after an assistant message/,
    ],
    [
      "a misspelt user role",
      "qwen2",
      { roles: { ...qwen.roles, user: "<|im_start|>human" } },
      /^roles\.user: .*human/,
    ],
    [
      "a misspelt assistant role",
      "qwen2",
      { roles: { ...qwen.roles, assistant: "<|im_start|>bot" } },
      /^roles\.assistant: .*bot/,
    ],
    ["a wrong separator between role and message", "qwen2", { roleContentSep: ": " }, /^role_content_sep: /],
    ["a reply header without its newline", "qwen2", { roleEmptySep: "" }, /^role_empty_sep: reply header/],
    [
      "a system message without its closing",
      "qwen2",
      { systemTemplate: "<|im_start|>system\n{system_message}" },
      /^system_template: after the system message/,
    ],
    [
      "a system message in another role",
      "qwen2",
      { systemTemplate: "<|im_start|>user\n{system_message}<|im_end|>\n" },
      /^system_template: before the system message/,
    ],
    [
      "a system message inside the first turn",
      "qwen2",
      { addRoleAfterSystemMessage: false },
      /^add_role_after_system_message, system_template: /,
    ],
    [
      "another default system message",
      "qwen2",
      { systemMessage: "Be brief." },
      /^system_message: .*Be brief/,
    ],
    [
      "a missing beginning token",
      "gemma",
      { systemPrefixTokenIds: null },
      /^system_prefix_token_ids: .*<bos>/,
    ],
    [
      "a beginning token too many",
      "qwen2",
      { systemPrefixTokenIds: [151643] },
      /^system_prefix_token_ids: at the beginning/,
    ],
    [
      "a prefix id that is no token",
      "gemma",
      { systemPrefixTokenIds: [7] },
      /^system_prefix_token_ids: 7 is no/,
    ],
    [
      "a stop id of another tokenizer",
      "qwen2",
      { stopTokenIds: [2], stopStr: [] },
      /^stop_token_ids: 2 is no token/,
    ],
    [
      "no stop at the end of a turn",
      "gemma",
      { stopTokenIds: [1], stopStr: [] },
      /^stop_token_ids: <end_of_turn> \(107\) closes/,
    ],
    ["an empty stop text", "qwen2", { stopStr: [""] }, /^stop_str: an empty text/],
  ];

  for (const [what, model, change, named] of mistakes) {
    it(`finds and names ${what}`, () => {
      const report = check(MODELS[model], { ...SOUND[model], ...change });
      const said = [...report.differences, ...report.findings];
      expect(
        said.filter((line) => named.test(line)),
        said.join("\n"),
      ).not.toEqual([]);
    });
  }

  it("says where reasoning is kept that the model drops", () => {
    const report = check(MODELS.qwen3, templateNamed("qwen2"));
    expect(report.differences.join("\n")).toMatch(/strip_reasoning_in_history: the model's template drops/);
    expect(check(MODELS.qwen3, templateNamed("qwen3")).differences.join("\n")).not.toContain("reasoning");
  });

  it("shows the first difference and names better templates when a wrong one was asked for", () => {
    const report = check(MODELS.qwen2, templateNamed("llama-3"));
    expect(report).toMatchObject({ origin: "given", match: "different" });
    expect(report.conversation.name).toBe("llama-3");
    expect(report.differences.join("\n")).toMatch(/probe system, character 1: .*im_start/);
    expect(report.better).toContain("qwen2");
  });

  it("compares ids with the tokens that the tokenizer names", () => {
    const input = selectionFor(MODELS.gemma, "gemma_instruction");
    const ids = new Map([...input.ids, ["eos_token_id", 2]] as const);
    const { findings } = selectTemplate({ ...input, ids });
    expect(findings).toContain("eos_token_id: the tokenizer's eos token <eos> is 1, written is 2");
    expect(findings).toContain('stop_token_ids: the model ends with 2 ("<bos>"), which is no stop');
  });
});

describe("choosing a conversation template", () => {
  for (const [model, name] of [
    ["llama3", "llama-3_1"],
    ["qwen2", "qwen2"],
    ["qwen3", "qwen3"],
    ["gemma", "gemma_instruction"],
    ["commandR", "aya-23"],
  ] as const) {
    it(`takes ${name} for ${model}`, () => {
      const report = selectTemplate(selectionFor(MODELS[model]));
      expect(report.conversation.name).toBe(name);
      expect(["exact", "default system"]).toContain(report.match);
      expect(report.origin).toBe("rule");
    });
  }

  it("leaves the table's guess when another template fits and it does not", () => {
    const report = selectTemplate({ ...selectionFor(MODELS.qwen2), modelType: "qwen3_5" });
    expect(report.origin).toBe("ranking");
    expect(report.conversation.name).toBe("qwen2");
  });

  it("derives the texts that no registered template has", () => {
    const expected = {
      zephyr: { systemTemplate: "<|system|>\n{system_message}</s>\n", seps: ["</s>\n"], stopTokenIds: [2] },
      mistral: { seps: [" [/INST]", "</s>"], systemPrefixTokenIds: [1], addRoleAfterSystemMessage: false },
      llama2: { seps: [" [/INST]", " </s>"], roleContentSep: " ", systemPrefixTokenIds: [1] },
      gemma3: { systemTemplate: "<start_of_turn>user\n{system_message}\n\n", stopTokenIds: [106, 1] },
      phi3: { roles: { user: "<|user|>", assistant: "<|assistant|>" }, stopTokenIds: [32007, 32000] },
    } as const;
    for (const [model, fields] of Object.entries(expected)) {
      const report = selectTemplate(selectionFor(MODELS[model as keyof typeof expected]));
      expect(report, model).toMatchObject({ origin: "derived", conversation: fields });
      expect(["exact", "default system"], model).toContain(report.match);
    }
  });

  it("derives stops from what the files and the tokenizer name, never from a default", () => {
    const input = selectionFor(MODELS.zephyr);
    const report = selectTemplate({ ...input, ids: new Map(), named: new Map([["eos_token", "<unk>"]]) });
    expect(report).toMatchObject({ origin: "derived", conversation: { stopTokenIds: [2, 0] } });
    expect(report.findings).toContain(
      "eos_token_id: the tokenizer's eos token <unk> is 0, but no file names it",
    );
  });

  it("derives nothing from a template that writes the date, but says that it does", () => {
    const report = selectTemplate(selectionFor(MODELS.llama3_1));
    expect(report).toMatchObject({ origin: "rule", match: "different", conversation: { name: "llama-3_1" } });
    expect(report.differences[0]).toContain("can write the current date");
    const probe = { name: "user", messages: [{ role: "user", content: "Hi" }], reply: true } as const;
    expect(chatTemplateOf(MODELS.llama3_1).render(probe)).toEqual({
      text: expect.stringContaining("Today Date: 26 Jul 2024"),
    });
  });

  it("keeps the nearest and says so when the structure cannot be expressed", () => {
    const numbered = {
      ...MODELS.qwen2,
      jinja:
        "{% for message in messages %}Turn {{ loop.index }} <|im_start|>{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}Turn {{ messages | length + 1 }}: {% endif %}",
    };
    const report = selectTemplate(selectionFor(numbered));
    expect(report).toMatchObject({ origin: "rule", match: "different" });
    expect(templateNotices(report)[0]).toContain("its prompts differ from the checkpoint's chat template");
    expect(report.differences.length).toBeGreaterThan(0);
  });

  it("warns when the template cannot be parsed", () => {
    const report = selectTemplate(selectionFor({ ...MODELS.qwen2, jinja: "{% for %}" }));
    expect(report.match).toBe("refused");
  });

  it("ends a template that would not end by itself", () => {
    const endless =
      "{% for a in range(100000) %}{% for b in range(100000) %}{{ '' }}{% endfor %}{% endfor %}";
    const template = chatTemplateOf({ ...MODELS.qwen2, jinja: endless });
    const probe = { name: "user", messages: [{ role: "user", content: "Hi" }], reply: true } as const;
    expect(template.render(probe)).toEqual({ refused: expect.stringContaining("timed out") });
  });

  it("says that nothing was checked without a chat template", () => {
    const report = selectTemplate({ ...selectionFor(MODELS.qwen2), chatTemplate: undefined });
    expect(report).toMatchObject({ match: "unchecked", origin: "rule" });
    expect(report.conversation.name).toBe("LM");
    expect(templateNotices(report)[0]).toContain("nothing could be checked");
  });

  it("takes LM for an embedding model, whatever template its tokenizer brings", () => {
    const report = selectTemplate({ ...selectionFor(MODELS.qwen3), modelType: "qwen3-embedding" });
    expect(report.conversation.name).toBe("LM");
  });
});
