import type { Json } from "../core/json.ts";
import { tokenText } from "./active-vocab.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { Comparison, MatchClass } from "./compare-probes.ts";
import { compareProbes, defaultSystemOf, rankOf } from "./compare-probes.ts";
import type { Conversation } from "./conversation.ts";
import { deriveConversation } from "./derive-conversation.ts";
import { guessTemplate, SILENT_TYPES } from "./guess-template.ts";
import type { ProbeTexts } from "./probes.ts";
import { conversationRenderer, MARKS, runProbes, textOf } from "./probes.ts";
import type { TemplateReport } from "./template-report.ts";
import { keepsReasoning, probeDifferences } from "./template-report.ts";
import { TEMPLATES, templateNamed } from "./templates.ts";
import { findTokenProblems, idsOf } from "./token-findings.ts";
import { comparePartsByField, describeDifference, readTurnParts } from "./turn-parts.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface SelectionInput {
  /** The template the user named; it wins. */
  readonly requested: Conversation | undefined;
  readonly modelType: string;
  /** Repository or folder name, for the rules that look at it. */
  readonly modelName: string;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly vocabulary: Vocabulary;
  /** `bos_token_id`, `eos_token_id`, `pad_token_id` where a file names them; defaults are absent. */
  readonly ids: ReadonlyMap<string, Json>;
  /** Special tokens that the tokenizer's configuration names. */
  readonly named: ReadonlyMap<string, Json>;
}

const DATE_DIFFERENCE =
  "system_template: the model's template can write the current date, which a conversation template cannot";

interface Candidate {
  readonly conversation: Conversation;
  readonly comparison: Comparison;
}

/**
 * Takes the named template or chooses one (chat-templates.md §7), and checks it against the checkpoint's own
 * chat template by rendering probes with both (§5). Pure: nothing is read or written.
 */
export function selectTemplate(input: SelectionInput): TemplateReport {
  const { chatTemplate, requested } = input;
  const model = chatTemplate && runProbes(chatTemplate.render);
  const guess = guessTemplate({
    modelType: input.modelType,
    modelName: input.modelName.toLowerCase(),
    chatTemplate: chatTemplate?.text,
    replyHeader: replyHeader(model),
    eosToken: chatTemplate?.eosToken ?? "",
    vocabulary: input.vocabulary,
  });
  const guessed = guess && { conversation: templateNamed(guess.name), reason: guess.reason };
  if (!model || SILENT_TYPES.includes(input.modelType)) {
    const conversation = requested ?? guessed?.conversation ?? templateNamed("LM");
    const reason = requested ? "it was named" : (guessed?.reason ?? "nothing tells which one fits");
    return unchecked(input, { conversation, origin: requested ? "given" : "rule", reason });
  }
  const ranked = rank(input, model, guessed?.conversation.name);
  if (requested) return report(input, model, { ...taken(requested, "given", "it was named"), ranked });
  const best = ranked[0];
  const matching = best && isMatching(best.comparison.match);
  if (guessed && matching && best.conversation.name === guessed.conversation.name)
    return report(input, model, { ...taken(guessed.conversation, "rule", guessed.reason), ranked });
  if (matching) {
    const reason = "it renders the probes as the checkpoint's chat template does";
    return report(input, model, { ...taken(best.conversation, "ranking", reason), ranked });
  }
  const derived = derive(input, model);
  if (derived) {
    const reason = "no registered template renders the probes as the checkpoint's chat template does";
    return report(input, model, { ...taken(derived, "derived", reason), ranked });
  }
  if (guessed)
    return report(input, model, { ...taken(guessed.conversation, "rule", guessed.reason), ranked });
  const nearest = best?.conversation ?? templateNamed("LM");
  return report(input, model, { ...taken(nearest, "ranking", "it comes nearest"), ranked });
}

type Origin = TemplateReport["origin"];
interface Choice {
  readonly conversation: Conversation;
  readonly origin: Origin;
  readonly reason: string;
}

function taken(conversation: Conversation, origin: Origin, reason: string): Choice {
  return { conversation, origin, reason };
}

function isMatching(match: MatchClass): boolean {
  return match === "exact" || match === "default system";
}

function replyHeader(model: ProbeTexts | undefined): string {
  const text = model && textOf(model, "user");
  return text?.slice(text.lastIndexOf(MARKS.user) + MARKS.user.length) ?? "";
}

function probe(input: SelectionInput, conversation: Conversation): ProbeTexts {
  return runProbes(conversationRenderer(conversation, prefixText(input, conversation)));
}

/** Text of the prefix tokens; without a vocabulary any prefix is taken for BOS. */
function prefixText({ vocabulary, chatTemplate }: SelectionInput, conversation: Conversation): string {
  const ids = conversation.systemPrefixTokenIds ?? [];
  const unknown = (id: number): string =>
    vocabulary.size === 0 ? (chatTemplate?.bosToken ?? "") : `<token ${id}>`;
  return ids.map((id) => vocabulary.tokenOf(id) ?? unknown(id)).join("");
}

/** All registered templates, best first: by match, then by stop tokens, then the guess, then the name. */
function rank(input: SelectionInput, model: ProbeTexts, guess: string | undefined): readonly Candidate[] {
  const { vocabulary, chatTemplate } = input;
  const close = readTurnParts(model)?.assistantClose.trimStart() ?? "";
  const closing = vocabulary.addedTokenAt(close);
  const closingId = closing === undefined ? undefined : vocabulary.idOf(closing);
  const keys = ({ conversation, comparison }: Candidate): readonly number[] => [
    isMatching(comparison.match) ? 0 : rankOf(comparison.match),
    closingId === undefined || conversation.stopTokenIds.includes(closingId) ? 0 : 1,
    conversation.name === guess ? 0 : 1,
    rankOf(comparison.match),
  ];
  const candidates = [...TEMPLATES.values()].map((conversation) => ({
    conversation,
    comparison: compareProbes(model, probe(input, conversation), chatTemplate?.bosToken ?? ""),
  }));
  return candidates
    .map((candidate) => ({ candidate, keys: keys(candidate) }))
    .sort((a, b) => firstNonZero(a.keys.map((key, index) => key - (b.keys[index] ?? 0))))
    .map(({ candidate }) => candidate);
}

function firstNonZero(differences: readonly number[]): number {
  return differences.find((difference) => difference !== 0) ?? 0;
}

/** A template made from the probes, if it renders them as the model's own does. */
function derive(input: SelectionInput, model: ProbeTexts): Conversation | undefined {
  const { chatTemplate, vocabulary } = input;
  const parts = readTurnParts(model);
  const bosToken = chatTemplate?.bosToken ?? "";
  if (!parts || chatTemplate?.writesDate) return undefined;
  const derived = deriveConversation({
    name: "custom",
    parts,
    bosToken,
    defaultSystem: defaultSystemOf(model) ?? null,
    eosTokenIds: endTokens(input),
    stripsReasoning: keepsReasoning(model) === false,
    vocabulary,
  });
  if (!derived) return undefined;
  return isMatching(compareProbes(model, probe(input, derived), bosToken).match) ? derived : undefined;
}

/** Tokens that end a text: those the files name by id, and the tokenizer's own. */
function endTokens({ ids, named, vocabulary }: SelectionInput): readonly number[] {
  const own = vocabulary.idOf(tokenText(named.get("eos_token")) ?? "");
  const known = idsOf(ids.get("eos_token_id")).filter((id) => vocabulary.tokenOf(id) !== undefined);
  return [...new Set([...known, ...(own === undefined ? [] : [own])])];
}

function unchecked(input: SelectionInput, choice: Choice): TemplateReport {
  const findings = problems(input, choice.conversation, undefined);
  return { ...choice, match: "unchecked", differences: [], findings, better: [] };
}

function problems(
  input: SelectionInput,
  conversation: Conversation,
  assistantClose: string | undefined,
): readonly string[] {
  const { vocabulary, ids, named } = input;
  return findTokenProblems({ conversation, vocabulary, ids, named, assistantClose });
}

function report(
  input: SelectionInput,
  model: ProbeTexts,
  { ranked, ...choice }: Choice & { readonly ranked: readonly Candidate[] },
): TemplateReport {
  const bosToken = input.chatTemplate?.bosToken ?? "";
  const ours = probe(input, choice.conversation);
  const comparison = compareProbes(model, ours, bosToken);
  const modelParts = readTurnParts(model);
  const oursParts = readTurnParts(ours);
  const beginnings = [bosToken, prefixText(input, choice.conversation)];
  const fields =
    modelParts && oursParts
      ? comparePartsByField(modelParts, oursParts, beginnings).map(describeDifference)
      : [];
  const better = ranked.filter(
    (candidate) => isMatching(candidate.comparison.match) && !isMatching(comparison.match),
  );
  return {
    ...choice,
    match: comparison.match,
    differences: [
      ...(input.chatTemplate?.writesDate ? [DATE_DIFFERENCE] : []),
      ...fields,
      ...probeDifferences({ conversation: choice.conversation, comparison, model, ours }),
      ...(comparison.difference && comparison.match !== "default system" ? [comparison.difference] : []),
    ],
    findings: problems(input, choice.conversation, modelParts?.assistantClose),
    better: better.map(({ conversation }) => conversation.name),
  };
}
