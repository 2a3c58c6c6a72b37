import type { Comparison, MatchClass } from "./compare-probes.ts";
import { firstDifference } from "./compare-probes.ts";
import type { Conversation } from "./conversation.ts";
import type { ProbeTexts } from "./probes.ts";
import { MARKS, textOf } from "./probes.ts";

/** Which conversation template was taken, why, and how well it fits. */
export interface TemplateReport {
  readonly conversation: Conversation;
  /** `derived`: made from the model's own template, without a counterpart upstream. */
  readonly origin: "given" | "rule" | "ranking" | "derived";
  readonly reason: string;
  /** `unchecked`: the checkpoint has no chat template to compare with. */
  readonly match: MatchClass | "unchecked";
  /** Fields in which the template departs from the model's own, and the first difference in the text. */
  readonly differences: readonly string[];
  /** Stop tokens, prefix and ids that do not fit the tokenizer. */
  readonly findings: readonly string[];
  /** Registered templates that fit better. */
  readonly better: readonly string[];
}

export interface ProbedTemplate {
  readonly conversation: Conversation;
  readonly comparison: Comparison;
  /** Texts of the checkpoint's chat template. */
  readonly model: ProbeTexts;
  /** Texts of the conversation template. */
  readonly ours: ProbeTexts;
}

/** Differences that lie in no turn: default system message, reasoning in history, tool messages. */
export function probeDifferences(probed: ProbedTemplate): readonly string[] {
  const { conversation, comparison, model, ours } = probed;
  return [
    ...defaultSystemDifference(conversation, comparison),
    ...reasoningDifference(model, ours),
    ...toolDifference(model, ours),
  ];
}

function defaultSystemDifference(
  conversation: Conversation,
  { match, modelSystem }: Comparison,
): readonly string[] {
  if (match !== "default system" || modelSystem === undefined) return [];
  const model = modelSystem === null ? "none" : JSON.stringify(modelSystem);
  const ours = JSON.stringify(conversation.systemMessage);
  return [`system_message: the model's default is ${model}, the conversation template's ${ours}`];
}

function reasoningDifference(model: ProbeTexts, ours: ProbeTexts): readonly string[] {
  const kept = keepsReasoning(model);
  const written = keepsReasoning(ours);
  if (kept === undefined || written === undefined || kept === written) return [];
  const verb = (keeps: boolean): string => (keeps ? "keeps" : "drops");
  return [
    `strip_reasoning_in_history: the model's template ${verb(kept)} reasoning in history, the conversation template ${verb(written)} it`,
  ];
}

/** Whether reasoning stays in earlier turns; `undefined` when the probe is refused. */
export function keepsReasoning(texts: ProbeTexts): boolean | undefined {
  return textOf(texts, "reasoning")?.includes("<think>\nthinking");
}

/** Compares what follows the assistant's message, where both templates take tool messages. */
function toolDifference(model: ProbeTexts, ours: ProbeTexts): readonly string[] {
  const [expected, found] = [model, ours].map((texts) => {
    const text = textOf(texts, "tool");
    return text?.slice(text.indexOf(MARKS.assistant));
  });
  if (expected === undefined || found === undefined || expected === found) return [];
  return [`roles.tool: ${firstDifference("tool", expected, found)}`];
}

/** The report as sentences for people: what was chosen and why, then everything that does not fit. */
export function templateNotices(report: TemplateReport): readonly string[] {
  const { conversation, origin, reason, match, better } = report;
  const name = conversation.name;
  const verdict: Readonly<Record<TemplateReport["match"], string>> = {
    exact: "its prompts equal those of the checkpoint's chat template",
    "default system":
      "its prompts equal those of the checkpoint's chat template but for the default system message",
    "white space": "its prompts differ from the checkpoint's chat template in white space",
    beginning: "its prompts differ from the checkpoint's chat template at the beginning",
    different: "its prompts differ from the checkpoint's chat template",
    refused: "the checkpoint's chat template refuses every probe",
    unchecked: "nothing could be checked, because the checkpoint has no chat template",
  };
  const chosen = `Conversation template ${name} (${origin}), because ${reason}; ${verdict[match]}.`;
  const problems = [...report.differences, ...report.findings].map((text) => `Template ${name}: ${text}.`);
  const advice = better.length > 0 ? [`These templates fit better than ${name}: ${better.join(", ")}.`] : [];
  return origin === "given" && match === "exact" ? problems : [chosen, ...problems, ...advice];
}
