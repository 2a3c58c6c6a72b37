import type { Conversation } from "./conversation.ts";
import { renderText } from "./render-prompt.ts";

/** Texts that no template trims or recognises, and that occur in none. */
export const MARKS = {
  system: "Walrus rules apply",
  user: "Zebra asks first",
  assistant: "Yak answers then",
  again: "Zebra asks again",
  tool: "Tapir reports here",
} as const;

/** A short conversation that shows how a template arranges turns. */
export interface Probe {
  readonly name: ProbeName;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** True: the prompt ends with the reply header. */
  readonly reply: boolean;
}

export type ProbeName =
  | "user"
  | "system"
  | "multi"
  | "multi-nosys"
  | "closed user"
  | "closed assistant"
  | "reasoning"
  | "tool";

export type ProbeText = { readonly text: string } | { readonly refused: string };
export type ProbeTexts = ReadonlyMap<ProbeName, ProbeText>;

const message = (role: string, content: string): { role: string; content: string } => ({ role, content });
const SYSTEM = message("system", MARKS.system);
const USER = message("user", MARKS.user);
const ASSISTANT = message("assistant", MARKS.assistant);
const AGAIN = message("user", MARKS.again);
const THOUGHT = message("assistant", `<think>\nthinking\n</think>\n\n${MARKS.assistant}`);
const TOOL = message("tool", MARKS.tool);

/** chat-templates.md §5.3, and turns without a reply header, which show where a turn ends. */
export const PROBES: readonly Probe[] = [
  { name: "user", messages: [USER], reply: true },
  { name: "system", messages: [SYSTEM, USER], reply: true },
  { name: "multi", messages: [SYSTEM, USER, ASSISTANT, AGAIN], reply: true },
  { name: "multi-nosys", messages: [USER, ASSISTANT, AGAIN], reply: true },
  { name: "closed user", messages: [USER], reply: false },
  { name: "closed assistant", messages: [USER, ASSISTANT], reply: false },
  { name: "reasoning", messages: [USER, THOUGHT, AGAIN], reply: true },
  { name: "tool", messages: [USER, ASSISTANT, TOOL], reply: true },
];

/** Renders every probe. */
export function runProbes(render: (probe: Probe) => ProbeText): ProbeTexts {
  return new Map(PROBES.map((probe) => [probe.name, render(probe)]));
}

/**
 * Renders a probe with a conversation template.
 * @param prefixText text of the template's prefix token ids
 * @param defaultSystem stands for the template's default system message
 */
export function conversationRenderer(
  template: Conversation,
  prefixText: string,
  defaultSystem: string = template.systemMessage,
): (probe: Probe) => ProbeText {
  return ({ messages, reply }) => {
    const [first] = messages;
    const system = first?.role === "system" ? first.content : defaultSystem;
    const turns = messages.filter(({ role }) => role !== "system");
    const unknown = turns.find(({ role }) => template.roles[role] === undefined);
    if (unknown) return { refused: `the template has no role ${unknown.role}` };
    const asked = reply ? [...turns, { role: "assistant", content: null }] : turns;
    return { text: prefixText + renderText(template, { messages: asked, systemMessage: system }) };
  };
}

/** The text of a probe that was not refused. */
export function textOf(texts: ProbeTexts, name: ProbeName): string | undefined {
  const found = texts.get(name);
  return found && "text" in found ? found.text : undefined;
}
