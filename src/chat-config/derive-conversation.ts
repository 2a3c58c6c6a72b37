import { commonPrefix, commonSuffix } from "./compare-probes.ts";
import type { Conversation } from "./conversation.ts";
import { toConversation } from "./conversation.ts";
import type { TurnParts } from "./turn-parts.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface DerivationInput {
  readonly name: string;
  readonly parts: TurnParts;
  readonly bosToken: string;
  /** The model's default system message; `null`: none. */
  readonly defaultSystem: string | null;
  /** Ids that the model's own configuration stops at. */
  readonly eosTokenIds: readonly number[];
  /** True when the model drops reasoning from earlier turns. */
  readonly stripsReasoning: boolean;
  readonly vocabulary: Vocabulary;
}

/** Stands in where the model's template has no default but the structure cannot leave the turn out. */
const NEUTRAL_SYSTEM = "You are a helpful assistant.";

/**
 * A conversation template that writes the same turns, put together from the parts of rendered probes.
 * The caller renders the probes with it: only that shows whether it is right.
 * @returns `undefined` when opening and closing texts do not fit the fields that a template has
 */
export function deriveConversation(input: DerivationInput): Conversation | undefined {
  const { parts, vocabulary } = input;
  const roles = splitRoles(parts);
  if (!roles) return undefined;
  const bosId = vocabulary.idOf(input.bosToken);
  const opening = parts.system?.open ?? parts.start;
  const startsWithBos = input.bosToken !== "" && bosId !== undefined && opening.startsWith(input.bosToken);
  const system = splitSystem(parts, startsWithBos ? input.bosToken.length : 0);
  const stop = vocabulary.addedTokenAt(parts.assistantClose.trimStart());
  const stopId = stop === undefined ? undefined : vocabulary.idOf(stop);
  const seps = [parts.userClose, parts.assistantClose];
  return toConversation(input.name, {
    ...system,
    systemMessage: parts.system ? (input.defaultSystem ?? NEUTRAL_SYSTEM) : "",
    systemPrefixTokenIds: startsWithBos ? [bosId] : null,
    roles: { user: roles.user, assistant: roles.assistant },
    seps: seps[0] === seps[1] ? seps.slice(1) : seps,
    roleContentSep: roles.contentSep,
    roleEmptySep: roles.emptySep,
    stopStr: stop === undefined ? [] : [stop],
    stopTokenIds: [...new Set([...(stopId === undefined ? [] : [stopId]), ...input.eosTokenIds])],
    stripReasoningInHistory: input.stripsReasoning,
  });
}

interface RoleTexts {
  readonly user: string;
  readonly assistant: string;
  readonly contentSep: string;
  readonly emptySep: string;
}

/**
 * Splits both openings into a role and the separator they share, so that the reply header begins with the
 * assistant's role.
 */
function splitRoles({ userOpen, assistantOpen, replyHeader }: TurnParts): RoleTexts | undefined {
  const shared = commonSuffix(userOpen, assistantOpen);
  const needed = assistantOpen.length - commonPrefix(assistantOpen, replyHeader).length;
  if (needed > shared.length) return undefined;
  const natural = /[\s:]*$/.exec(shared)?.[0].length ?? 0;
  const length = Math.max(needed, natural);
  const assistant = assistantOpen.slice(0, assistantOpen.length - length);
  return {
    user: userOpen.slice(0, userOpen.length - length),
    assistant,
    contentSep: shared.slice(shared.length - length),
    emptySep: replyHeader.slice(assistant.length),
  };
}

function splitSystem(
  { system, start, userOpen }: TurnParts,
  bosLength: number,
): Pick<Conversation, "systemTemplate" | "addRoleAfterSystemMessage"> {
  if (!system) {
    const rest = start.slice(bosLength);
    const before = rest.endsWith(userOpen) ? rest.slice(0, rest.length - userOpen.length) : "";
    return { systemTemplate: `${before}{system_message}`, addRoleAfterSystemMessage: true };
  }
  const opensTurn = system.toUser.endsWith(userOpen);
  const close = opensTurn ? system.toUser.slice(0, system.toUser.length - userOpen.length) : system.toUser;
  const systemTemplate = `${system.open.slice(bosLength)}{system_message}${close}`;
  return { systemTemplate, addRoleAfterSystemMessage: opensTurn };
}
