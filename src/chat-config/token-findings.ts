import type { Json } from "../core/json.ts";
import { isArray } from "../core/json.ts";
import { tokenText } from "./active-vocab.ts";
import type { Conversation } from "./conversation.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface TokenFacts {
  readonly conversation: Conversation;
  readonly vocabulary: Vocabulary;
  /** `bos_token_id`, `eos_token_id`, `pad_token_id` where a file names them; defaults are absent. */
  readonly ids: ReadonlyMap<string, Json>;
  /** Special tokens that the tokenizer's configuration names. */
  readonly named: ReadonlyMap<string, Json>;
  /** What the model's chat template writes after an assistant message, if that is known. */
  readonly assistantClose: string | undefined;
}

/**
 * Checks stop tokens, prefix tokens and named ids against the vocabulary and each other
 * (chat-templates.md §5.3). One sentence a finding, which begins with the field;
 * none without a tokenizer.json.
 */
export function findTokenProblems(facts: TokenFacts): readonly string[] {
  if (facts.vocabulary.size === 0) return [];
  return [...stopFindings(facts), ...prefixFindings(facts), ...idFindings(facts)];
}

/** A JSON id or list of ids as numbers. */
export function idsOf(value: Json | undefined): readonly number[] {
  const items = isArray(value) ? value : [value];
  return items.filter((item): item is number => typeof item === "number");
}

function stopFindings({ conversation, vocabulary, ids, assistantClose }: TokenFacts): readonly string[] {
  const { stopTokenIds, stopStr } = conversation;
  const findings: string[] = [];
  for (const id of stopTokenIds) {
    const token = vocabulary.tokenOf(id);
    if (token === undefined) findings.push(`stop_token_ids: ${id} is no token of the tokenizer`);
    else if (!vocabulary.isSpecial(id))
      findings.push(`stop_token_ids: ${id} is ${JSON.stringify(token)}, which is no special token`);
  }
  if (stopStr.includes("")) findings.push("stop_str: an empty text stops every generation");
  const stops = (id: number): boolean =>
    stopTokenIds.includes(id) || stopStr.includes(vocabulary.tokenOf(id) ?? "");
  for (const id of idsOf(ids.get("eos_token_id"))) {
    const token = JSON.stringify(vocabulary.tokenOf(id) ?? "no token");
    if (!stops(id)) findings.push(`stop_token_ids: the model ends with ${id} (${token}), which is no stop`);
  }
  const closing = assistantClose && vocabulary.addedTokenAt(assistantClose.trimStart());
  const closingId = closing ? vocabulary.idOf(closing) : undefined;
  if (closingId !== undefined && !stops(closingId))
    findings.push(`stop_token_ids: ${closing} (${closingId}) closes the assistant's turn but is no stop`);
  return findings;
}

function prefixFindings({ conversation, vocabulary }: TokenFacts): readonly string[] {
  return (conversation.systemPrefixTokenIds ?? [])
    .filter((id) => vocabulary.tokenOf(id) === undefined)
    .map((id) => `system_prefix_token_ids: ${id} is no token of the tokenizer`);
}

/** The ids of generation_config.json or config.json against the tokens the tokenizer names. */
function idFindings({ ids, named, vocabulary }: TokenFacts): readonly string[] {
  const findings: string[] = [];
  for (const kind of ["bos", "eos", "pad"]) {
    const written = idsOf(ids.get(`${kind}_token_id`));
    for (const id of written) {
      if (vocabulary.tokenOf(id) === undefined)
        findings.push(`${kind}_token_id: ${id} is no token of the tokenizer`);
    }
    const token = tokenText(named.get(`${kind}_token`));
    const expected = token === undefined ? undefined : vocabulary.idOf(token);
    if (expected === undefined || written.includes(expected)) continue;
    const instead = written.length > 0 ? `written is ${written.join(", ")}` : "but no file names it";
    findings.push(`${kind}_token_id: the tokenizer's ${kind} token ${token} is ${expected}, ${instead}`);
  }
  return findings;
}
