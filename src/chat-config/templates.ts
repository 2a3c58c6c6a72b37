import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Conversation } from "./conversation.ts";
import { toConversation } from "./conversation.ts";
import { CHATML_TEMPLATES } from "./templates-chatml.ts";
import { PLAIN_TEMPLATES } from "./templates-plain.ts";
import { TAGGED_TEMPLATES } from "./templates-tagged.ts";

/** Every registered conversation template by name (chat-templates.md). */
export const TEMPLATES: ReadonlyMap<string, Conversation> = new Map(
  Object.entries({ ...CHATML_TEMPLATES, ...TAGGED_TEMPLATES, ...PLAIN_TEMPLATES }).map(([name, entry]) => [
    name,
    toConversation(name, entry),
  ]),
);

/** All names, sorted. */
export const TEMPLATE_NAMES: readonly string[] = [...TEMPLATES.keys()].sort();

/**
 * The template of that name.
 * @throws {UsageError} E_CONV_TEMPLATE listing the names (errors.md B14)
 */
export function templateNamed(name: string): Conversation {
  const template = TEMPLATES.get(name);
  if (template) return template;
  const near = nearest(name, TEMPLATE_NAMES);
  const general = "Leave the option out to have a template chosen and checked.";
  throw new UsageError(
    "E_CONV_TEMPLATE",
    `--conv-template: expected one of ${TEMPLATE_NAMES.join(", ")}; found ${JSON.stringify(name)}`,
    { hint: near === undefined ? general : `did you mean ${near}? ${general}` },
  );
}
