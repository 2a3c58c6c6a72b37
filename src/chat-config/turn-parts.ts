import { commonPrefix } from "./compare-probes.ts";
import type { ProbeTexts } from "./probes.ts";
import { MARKS, textOf } from "./probes.ts";

/** What a template puts around messages, cut out of rendered probes. */
export interface TurnParts {
  /** Before the first user message when there is no system message, BOS and default message included. */
  readonly start: string;
  readonly userClose: string;
  readonly assistantClose: string;
  /** Opens a user turn that follows an assistant turn. */
  readonly userOpen: string;
  /** Opens an assistant turn with content. */
  readonly assistantOpen: string;
  readonly replyHeader: string;
  /** Absent when the template takes no system message. */
  readonly system?: SystemParts;
}

export interface SystemParts {
  /** From the start to the system message, BOS included. */
  readonly open: string;
  /** From the system message to the first user message, which may include that turn's opening. */
  readonly toUser: string;
}

/**
 * Cuts the parts out of the probes `multi`, `multi-nosys`, `closed user` and `closed assistant`.
 * @returns `undefined` when a message is missing or repeated, so that the structure cannot be told
 */
export function readTurnParts(texts: ProbeTexts): TurnParts | undefined {
  const turns = [MARKS.user, MARKS.assistant, MARKS.again];
  const withSystem = cut(textOf(texts, "multi"), [MARKS.system, ...turns]);
  const plain = cut(textOf(texts, "multi-nosys"), turns);
  const pieces = withSystem?.slice(1) ?? plain;
  const start = plain?.[0] ?? "";
  const closedUser = cut(textOf(texts, "closed user"), [MARKS.user])?.[1];
  const closedAssistant = cut(textOf(texts, "closed assistant"), [MARKS.user, MARKS.assistant])?.[2];
  const [beforeUser, toAssistant, toUser, toReply] = pieces ?? [];
  if (beforeUser === undefined || toAssistant === undefined || toUser === undefined) return undefined;
  if (toReply === undefined || closedUser === undefined || closedAssistant === undefined) return undefined;
  const userClose = wholeTags(commonPrefix(commonPrefix(closedUser, toAssistant), toReply));
  const assistantClose = wholeTags(commonPrefix(closedAssistant, toUser));
  const [open] = withSystem ?? [];
  return {
    start,
    userClose,
    assistantClose,
    userOpen: toUser.slice(assistantClose.length),
    assistantOpen: toAssistant.slice(userClose.length),
    replyHeader: toReply.slice(userClose.length),
    ...(open === undefined ? {} : { system: { open, toUser: beforeUser } }),
  };
}

/** Cuts a tag off that the end of a common prefix went through: `<|end|>\n<|` ends before `<|`. */
function wholeTags(text: string): string {
  return text.replace(/[<[][^\s>\]]*$/, "");
}

/** The texts between the marks, one more than there are marks; each mark must occur once, in this order. */
function cut(text: string | undefined, marks: readonly string[]): readonly string[] | undefined {
  if (text === undefined) return undefined;
  const pieces: string[] = [];
  let rest = text;
  for (const mark of marks) {
    const [piece, after, repeated] = rest.split(mark);
    if (piece === undefined || after === undefined || repeated !== undefined) return undefined;
    pieces.push(piece);
    rest = after;
  }
  return [...pieces, rest];
}

/** A difference between two templates, with the fields of `conv_template` that it lies in. */
export interface PartDifference {
  readonly fields: readonly string[];
  readonly what: string;
  readonly model: string;
  readonly ours: string;
}

/** Records a pair of texts where they differ. */
type Note = (fields: readonly string[], what: string, texts: readonly [string, string]) => void;

/**
 * Names the fields in which a conversation template departs from the model's own template.
 * @param beginnings texts that a prefix token can have: BOS, and what the conversation template's prefix says
 */
export function comparePartsByField(
  model: TurnParts,
  ours: TurnParts,
  beginnings: readonly string[],
): readonly PartDifference[] {
  const found: PartDifference[] = [];
  const note: Note = (fields, what, texts) => {
    if (texts[0] !== texts[1]) found.push({ fields, what, model: texts[0], ours: texts[1] });
  };
  const openings = [
    ["roles.user", "user", "userOpen"],
    ["roles.assistant", "assistant", "assistantOpen"],
  ] as const;
  const bothOpenings = openings.every(([, , part]) => model[part] !== ours[part]);
  const headerEqual = model.replyHeader === ours.replyHeader;
  note(["seps"], "after a user message", [model.userClose, ours.userClose]);
  note(["seps"], "after an assistant message", [model.assistantClose, ours.assistantClose]);
  for (const [field, who, part] of openings) {
    const isSeparator = bothOpenings || (part === "assistantOpen" && headerEqual);
    note([isSeparator ? "role_content_sep" : field], `before ${who} messages`, [model[part], ours[part]]);
  }
  const assistantEqual = model.assistantOpen === ours.assistantOpen;
  note([assistantEqual || bothOpenings ? "role_empty_sep" : "roles.assistant"], "reply header", [
    model.replyHeader,
    ours.replyHeader,
  ]);
  compareStarts({ model, ours, beginnings }, note);
  return found;
}

interface StartsInput {
  readonly model: TurnParts;
  readonly ours: TurnParts;
  readonly beginnings: readonly string[];
}

function compareStarts({ model, ours, beginnings }: StartsInput, note: Note): void {
  const starts = [model.system?.open ?? model.start, ours.system?.open ?? ours.start] as const;
  const prefixOf = (text: string): string =>
    beginnings.find((token) => token !== "" && text.startsWith(token)) ?? "";
  const rest = (text: string): string => text.slice(prefixOf(text).length);
  note(["system_prefix_token_ids"], "at the beginning", [prefixOf(starts[0]), prefixOf(starts[1])]);
  if (!model.system || !ours.system) return;
  note(["system_template"], "before the system message", [rest(starts[0]), rest(starts[1])]);
  const after = [model.system.toUser, ours.system.toUser] as const;
  const opens = [after[0].endsWith(model.userOpen), after[1].endsWith(ours.userOpen)];
  if (opens[0] !== opens[1]) {
    note(["add_role_after_system_message", "system_template"], "after the system message", after);
  } else if (opens[0]) {
    const close = (parts: TurnParts, text: string): string =>
      text.slice(0, text.length - parts.userOpen.length);
    const closes = [close(model, after[0]), close(ours, after[1])] as const;
    note(["system_template"], "after the system message", closes);
  } else note(["system_template"], "after the system message", after);
}

/** One sentence for a difference. */
export function describeDifference({ fields, what, model, ours }: PartDifference): string {
  return `${fields.join(", ")}: ${what} the model's template has ${JSON.stringify(model)}, the conversation template ${JSON.stringify(ours)}`;
}
