import type { ProbeName, ProbeTexts } from "./probes.ts";
import { MARKS, textOf } from "./probes.ts";

/**
 * How well a conversation template reproduces the checkpoint's own (chat-templates.md §5.3), best first.
 * `default system`: equal once both get the same system message.
 */
export const MATCH_CLASSES = [
  "exact",
  "default system",
  "white space",
  "beginning",
  "different",
  "refused",
] as const;
export type MatchClass = (typeof MATCH_CLASSES)[number];

export interface Comparison {
  readonly match: MatchClass;
  /** The first difference, one sentence; absent when equal. */
  readonly difference?: string;
  /** The model's own default system message; `null`: it has none; absent: not known. */
  readonly modelSystem?: string | null;
}

/**
 * Compares the model's probes with a conversation template's.
 * @param model texts of the checkpoint's chat template
 * @param ours texts of the conversation template, prefix tokens included
 * @param bosToken text of BOS, `""` when there is none
 */
export function compareProbes(model: ProbeTexts, ours: ProbeTexts, bosToken: string): Comparison {
  const hasSystem = textOf(model, "system")?.includes(MARKS.system) === true;
  const decisive: readonly ProbeName[] = hasSystem ? ["system", "multi"] : ["user", "multi-nosys"];
  const results = decisive.map((name) => compareTexts(name, pair(model, ours, name), bosToken));
  const compared = results.filter(({ match }) => match !== "refused");
  const worst = compared.toSorted((a, b) => rankOf(b.match) - rankOf(a.match))[0];
  if (!worst) return { match: "refused", difference: "the model's template refuses every probe" };
  if (worst.match !== "exact" || !hasSystem) return worst;
  return compareDefaults(model, ours, bosToken);
}

/** Position in {@link MATCH_CLASSES}; smaller is better. */
export function rankOf(match: MatchClass): number {
  return MATCH_CLASSES.indexOf(match);
}

/** With equal system messages everything is equal; what is left is the default system message. */
function compareDefaults(model: ProbeTexts, ours: ProbeTexts, bosToken: string): Comparison {
  const user = compareTexts("user", pair(model, ours, "user"), bosToken);
  const several = compareTexts("multi-nosys", pair(model, ours, "multi-nosys"), bosToken);
  const modelSystem = defaultSystemOf(model);
  const known = modelSystem === undefined ? {} : { modelSystem };
  const unequal = [user, several].find(({ match }) => match !== "exact" && match !== "refused");
  if (!unequal) return { match: "exact", ...known };
  return modelSystem === undefined ? unequal : { ...unequal, ...known, match: "default system" };
}

/**
 * The system message a chat template uses by itself: `null` when the system turn is left out,
 * `undefined` when the two renderings differ by more than the system turn.
 */
export function defaultSystemOf(model: ProbeTexts): string | null | undefined {
  const system = textOf(model, "system");
  const user = textOf(model, "user");
  if (system === undefined || user === undefined) return undefined;
  const before = system.indexOf(MARKS.system);
  const after = system.length - before - MARKS.system.length;
  const head = commonPrefix(system, user).length;
  const tail = commonSuffix(system, user).length;
  if (head + tail >= user.length) return null;
  return head >= before && tail >= after ? user.slice(before, user.length - after) : undefined;
}

interface TextPair {
  readonly model: string | undefined;
  readonly ours: string | undefined;
}

function pair(model: ProbeTexts, ours: ProbeTexts, name: ProbeName): TextPair {
  return { model: textOf(model, name), ours: textOf(ours, name) };
}

function compareTexts(name: ProbeName, { model, ours }: TextPair, bosToken: string): Comparison {
  if (model === undefined || ours === undefined) return { match: "refused" };
  if (model === ours) return { match: "exact" };
  return { match: classify(model, ours, bosToken), difference: firstDifference(name, model, ours) };
}

function classify(model: string, ours: string, bosToken: string): MatchClass {
  const squeezed = (text: string): string => text.replace(/\s+/g, "");
  if (squeezed(model) === squeezed(ours)) return "white space";
  const cut = (text: string): string => (text.startsWith(bosToken) ? text.slice(bosToken.length) : text);
  return cut(model) === ours || cut(ours) === model ? "beginning" : "different";
}

/** Shows 20 characters on each side of the first difference. */
export function firstDifference(name: string, model: string, ours: string): string {
  const at = commonPrefix(model, ours).length;
  const around = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 20), at + 20));
  return `probe ${name}, character ${at}: the model's template has ${around(model)}, the conversation template ${around(ours)}`;
}

/** The longest text that both begin with. */
export function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}

/** The longest text that both end with. */
export function commonSuffix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++;
  return a.slice(a.length - length);
}
