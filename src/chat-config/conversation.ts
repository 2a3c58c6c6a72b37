import type { Json, JsonArray, JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";

/** How a conversation becomes a prompt and when generation stops: the `conv_template` object (chat-templates.md §1). */
export interface Conversation {
  /** Only a label at run time. */
  readonly name: string;
  /** Text around the system message, with the placeholder `{system_message}`. */
  readonly systemTemplate: string;
  /** Default system message; one of the request replaces it. */
  readonly systemMessage: string;
  /** Token ids put before the encoded prompt, usually BOS; not part of the text. */
  readonly systemPrefixTokenIds: readonly number[] | null;
  /** False: the first message gets no role prefix when there is system text. */
  readonly addRoleAfterSystemMessage: boolean;
  /** Text that opens a turn, by role; key order is the order in the file. */
  readonly roles: Readonly<Record<string, string>>;
  /** Text around a message, by role, with the placeholder `{user_message}` and so on. */
  readonly roleTemplates: Readonly<Record<string, string>>;
  /** What closes a turn: `seps[0]`, or `seps[1]` after an assistant message when there are two. */
  readonly seps: readonly string[];
  readonly roleContentSep: string;
  /** After the role of a message without content: the reply header. */
  readonly roleEmptySep: string;
  readonly stopStr: readonly string[];
  readonly stopTokenIds: readonly number[];
  /** Drop what precedes `</think>` in assistant messages before the last user message. */
  readonly stripReasoningInHistory: boolean;
}

/** A template as the tables write it: what is not said has the default. */
export type ConversationEntry = Partial<Omit<Conversation, "name">> &
  Pick<Conversation, "roles" | "seps"> & { readonly name?: never };

const DEFAULTS: Omit<Conversation, "name" | "roles" | "seps"> = {
  systemTemplate: "{system_message}",
  systemMessage: "",
  systemPrefixTokenIds: null,
  addRoleAfterSystemMessage: true,
  roleTemplates: { user: "{user_message}", assistant: "{assistant_message}", tool: "{tool_message}" },
  roleContentSep: "",
  roleEmptySep: "",
  stopStr: [],
  stopTokenIds: [],
  stripReasoningInHistory: false,
};

/** Fills an entry's defaults in. */
export function toConversation(name: string, entry: ConversationEntry): Conversation {
  return { ...DEFAULTS, ...entry, name };
}

/** The object as it is written to mlc-chat-config.json: 16 fields, run-time state included (chat-config.md §2). */
export function conversationToJson(conversation: Conversation): JsonObject {
  return new Map<string, Json>([
    ["name", conversation.name],
    ["system_template", conversation.systemTemplate],
    ["system_message", conversation.systemMessage],
    ["system_prefix_token_ids", conversation.systemPrefixTokenIds],
    ["add_role_after_system_message", conversation.addRoleAfterSystemMessage],
    ["roles", new Map(Object.entries(conversation.roles))],
    ["role_templates", new Map(Object.entries(conversation.roleTemplates))],
    ["messages", []],
    ["seps", conversation.seps],
    ["role_content_sep", conversation.roleContentSep],
    ["role_empty_sep", conversation.roleEmptySep],
    ["stop_str", conversation.stopStr],
    ["stop_token_ids", conversation.stopTokenIds],
    ["strip_reasoning_in_history", conversation.stripReasoningInHistory],
    ["function_string", ""],
    ["use_function_calling", false],
  ]);
}

/** Reads a `conv_template` object back; `undefined` where a field has the wrong type. */
export function conversationFromJson(json: Json | undefined): Conversation | undefined {
  if (!isObject(json)) return undefined;
  const roles = textRecord(json.get("roles"));
  const seps = texts(json.get("seps") ?? null);
  const stopStr = texts(json.get("stop_str") ?? []);
  const stopTokenIds = ids(json.get("stop_token_ids") ?? []);
  const prefix = json.get("system_prefix_token_ids") ?? null;
  const prefixIds = prefix === null ? null : ids(prefix);
  const roleTemplates = textRecord(json.get("role_templates") ?? new Map());
  const complete = roles && roleTemplates && seps && seps.length > 0 && stopStr && stopTokenIds;
  if (!complete || prefixIds === undefined) return undefined;
  const text = (key: string, fallback: string): string => {
    const value = json.get(key);
    return typeof value === "string" ? value : fallback;
  };
  return {
    name: text("name", ""),
    systemTemplate: text("system_template", DEFAULTS.systemTemplate),
    systemMessage: text("system_message", ""),
    systemPrefixTokenIds: prefixIds,
    addRoleAfterSystemMessage: json.get("add_role_after_system_message") !== false,
    roles,
    roleTemplates: { ...DEFAULTS.roleTemplates, ...roleTemplates },
    seps,
    roleContentSep: text("role_content_sep", ""),
    roleEmptySep: text("role_empty_sep", ""),
    stopStr,
    stopTokenIds,
    stripReasoningInHistory: json.get("strip_reasoning_in_history") === true,
  };
}

function textRecord(value: Json | undefined): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const entries = [...value].filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return entries.length === value.size ? Object.fromEntries(entries) : undefined;
}

function texts(value: Json): readonly string[] | undefined {
  return allOf(value, (item): item is string => typeof item === "string");
}

function ids(value: Json): readonly number[] | undefined {
  return allOf(value, (item): item is number => typeof item === "number");
}

function allOf<T extends Json>(value: Json, test: (item: Json) => item is T): readonly T[] | undefined {
  if (!isArray(value)) return undefined;
  const items: JsonArray = value;
  const matching = items.filter(test);
  return matching.length === items.length ? matching : undefined;
}
