import { UsageError } from "../core/errors.ts";
import type { Conversation } from "./conversation.ts";

/** A part of a message with images. */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly imageUrl: string };

export interface ChatMessage {
  readonly role: string;
  /** `null` asks for a reply: the piece is the reply header. */
  readonly content: string | null | readonly ContentPart[];
}

export interface PromptInput {
  readonly messages: readonly ChatMessage[];
  /** The request's system message; the template's default when absent. */
  readonly systemMessage?: string;
  /** What replaces the last `{function_string}`; default nothing. */
  readonly functionString?: string;
}

/** Text, or an image that stays apart from it. */
export type PromptItem = string | { readonly imageUrl: string };

/**
 * The prompt as the runtimes build it, without the prefix token ids (chat-templates.md §2).
 * Without images the result is one string.
 * @throws {UsageError} E_TEMPLATE_ROLE for a role the template does not have
 */
export function renderPrompt(template: Conversation, input: PromptInput): readonly PromptItem[] {
  const system = template.systemTemplate.replaceAll(
    "{system_message}",
    () => input.systemMessage ?? template.systemMessage,
  );
  const messages = template.stripReasoningInHistory ? stripReasoning(input.messages) : input.messages;
  const pieces: PromptItem[] = system === "" ? [] : [system];
  for (const [index, message] of messages.entries()) {
    const bare = !template.addRoleAfterSystemMessage && system !== "" && index === 0;
    pieces.push(...renderMessage(template, message, bare));
  }
  const items = joinTexts(pieces);
  if (items.some((item) => typeof item !== "string")) return items;
  return [fillFunctions(items.join(""), input.functionString ?? "")];
}

/** The prompt of a conversation without images, as one string. */
export function renderText(template: Conversation, input: PromptInput): string {
  return renderPrompt(template, input)
    .filter((item) => typeof item === "string")
    .join("");
}

function renderMessage(template: Conversation, message: ChatMessage, bare: boolean): readonly PromptItem[] {
  const { role, content } = message;
  const header = template.roles[role];
  if (header === undefined) {
    const known = Object.keys(template.roles).join(", ");
    throw new UsageError(
      "E_TEMPLATE_ROLE",
      `conversation template ${template.name}: expected a role of ${known}; found ${JSON.stringify(role)}`,
    );
  }
  if (content === null) return [header + template.roleEmptySep];
  const prefix = bare ? "" : header + template.roleContentSep;
  const separator = template.seps[role === "assistant" ? template.seps.length - 1 : 0] ?? "";
  if (typeof content === "string") return [prefix + fillRole(template, role, content) + separator];
  const parts = content.flatMap((part): PromptItem[] =>
    part.type === "text" ? [fillRole(template, role, part.text)] : [{ imageUrl: part.imageUrl }, "\n"],
  );
  return [prefix, ...parts, separator];
}

function fillRole(template: Conversation, role: string, text: string): string {
  const placeholder = `{${role}_message}`;
  return (template.roleTemplates[role] ?? placeholder).replaceAll(placeholder, () => text);
}

function joinTexts(pieces: readonly PromptItem[]): readonly PromptItem[] {
  const items: PromptItem[] = [];
  for (const piece of pieces) {
    const last = items.at(-1);
    if (typeof piece === "string" && typeof last === "string") items[items.length - 1] = last + piece;
    else items.push(piece);
  }
  return items;
}

/** Tools are listed once, at the last placeholder, wherever that came from. */
function fillFunctions(text: string, functions: string): string {
  const placeholder = "{function_string}";
  const last = text.lastIndexOf(placeholder);
  if (last < 0) return text;
  const before = text.slice(0, last).replaceAll(placeholder, "");
  return before + functions + text.slice(last + placeholder.length);
}

function stripReasoning(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const lastUser = messages.findLastIndex((message) => message.role === "user");
  return messages.map((message, index) => {
    const { role, content } = message;
    if (role !== "assistant" || index >= lastUser || typeof content !== "string") return message;
    const end = content.lastIndexOf("</think>");
    return end < 0 ? message : { role, content: content.slice(end + "</think>".length).replace(/^\n+/, "") };
  });
}
