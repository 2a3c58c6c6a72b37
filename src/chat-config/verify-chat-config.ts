import { join } from "node:path";
import { MlcConvertError } from "../core/errors.ts";
import { readFileIntegrity } from "../core/integrity.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { formatJson, isArray, toNumber } from "../core/json.ts";
import { namedTokens } from "./active-vocab.ts";
import { readChatTemplate } from "./chat-template.ts";
import type { ConfigFolder } from "./config-folder.ts";
import { openConfigFolder } from "./config-folder.ts";
import { conversationFromJson } from "./conversation.ts";
import { CHAT_CONFIG_NAME } from "./prepare-chat-config.ts";
import { PROVENANCE_NAME, readProvenance } from "./provenance.ts";
import { selectTemplate } from "./select-template.ts";
import { templateNotices } from "./template-report.ts";
import { refuseDuplicateTokens } from "./tokenizer-files.ts";
import { DEFAULT_TOKENIZER_INFO, detectTokenizerInfo, tokenizerInfoToJson } from "./tokenizer-info.ts";
import { readVocabulary } from "./vocabulary.ts";

/** What is wrong with config, tokenizer and template of a converted model. */
export interface ChatConfigVerdict {
  /** A runtime cannot load the folder, or a file is not what was written; one sentence each. */
  readonly problems: readonly string[];
  /** Worth knowing, but no reason to refuse. */
  readonly notices: readonly string[];
  /** Number of things looked at. */
  readonly checks: number;
}

/**
 * Checks everything in a converted model's folder but the weights: mlc-chat-config.json, the tokenizer files,
 * the conversation template against the tokenizer's own, and the hashes of mlc-convert.json where there is one.
 * @throws {SourceError} E_CONFIG_FOLDER when the folder cannot be listed
 */
export async function verifyChatConfig(path: string): Promise<ChatConfigVerdict> {
  const folder = await openConfigFolder(path);
  const verdict = new Verdict();
  await verdict.check(PROVENANCE_NAME, () => checkHashes(folder, verdict));
  let config: JsonObject | undefined;
  await verdict.check(CHAT_CONFIG_NAME, async () => {
    config = await folder.readObject(CHAT_CONFIG_NAME);
    if (config) checkConfig(config, verdict);
    else verdict.problem(`${CHAT_CONFIG_NAME}: missing`);
  });
  if (config) {
    const present = config;
    await verdict.check("tokenizer files", () => checkTokenizer(folder, present, verdict));
    await verdict.check("conv_template", () => checkTemplate(folder, present, verdict));
  }
  return verdict;
}

class Verdict implements ChatConfigVerdict {
  readonly problems: string[] = [];
  readonly notices: string[] = [];
  checks = 0;

  problem(text: string): void {
    this.problems.push(text);
  }

  expect(holds: boolean, text: string): void {
    this.checks++;
    if (!holds) this.problems.push(text);
  }

  /** Runs one check; what it throws as an error for people is a problem. */
  async check(what: string, run: () => Promise<void>): Promise<void> {
    this.checks++;
    try {
      await run();
    } catch (cause) {
      if (!(cause instanceof MlcConvertError)) throw cause;
      this.problems.push(`${what}: ${cause.message}`);
    }
  }
}

async function checkHashes(folder: ConfigFolder, verdict: Verdict): Promise<void> {
  if (!folder.has(PROVENANCE_NAME)) {
    verdict.notices.push(
      `There is no ${PROVENANCE_NAME}, so config and tokenizer cannot be compared with hashes.`,
    );
    return;
  }
  const { files, problem } = readProvenance(await folder.readText(PROVENANCE_NAME));
  if (problem !== undefined) verdict.problem(`${PROVENANCE_NAME}: ${problem}`);
  for (const [name, expected] of files) {
    if (!folder.has(name)) {
      verdict.expect(false, `${name}: missing`);
      continue;
    }
    const found = await readFileIntegrity(join(folder.path, name));
    const same = found.integrity === expected.integrity;
    verdict.expect(same, `${name}: expected ${expected.integrity}, found ${found.integrity}`);
  }
}

const INTEGER_FIELDS = [
  "vocab_size",
  "context_window_size",
  "sliding_window_size",
  "prefill_chunk_size",
  "attention_sink_size",
  "tensor_parallel_shards",
  "pipeline_parallel_stages",
  "active_vocab_size",
];

function checkConfig(config: JsonObject, verdict: Verdict): void {
  for (const name of ["version", "model_type", "quantization"])
    verdict.expect(typeof config.get(name) === "string", `${name}: expected a string`);
  for (const name of INTEGER_FIELDS)
    verdict.expect(Number.isInteger(config.get(name)), `${name}: expected an integer`);
  verdict.expect(config.get("model_config") instanceof Map, "model_config: expected an object");
  const positive = ["vocab_size", "active_vocab_size", "tensor_parallel_shards"];
  for (const name of positive)
    verdict.expect((toNumber(config.get(name)) ?? 0) > 0, `${name}: expected a positive number`);
}

async function checkTokenizer(folder: ConfigFolder, config: JsonObject, verdict: Verdict): Promise<void> {
  const listed = config.get("tokenizer_files");
  verdict.expect(isArray(listed), "tokenizer_files: expected a list");
  for (const name of isArray(listed) ? listed : []) {
    const present = typeof name === "string" && folder.has(name);
    verdict.expect(present, `tokenizer_files: ${formatJson(name, 0)} is missing`);
    if (present) await folder.readBytes(name);
  }
  const tokenizer = await folder.readObject("tokenizer.json");
  if (tokenizer) refuseDuplicateTokens(tokenizer);
  const info = tokenizerInfoToJson(tokenizer ? detectTokenizerInfo(tokenizer) : DEFAULT_TOKENIZER_INFO);
  const written = config.get("tokenizer_info") ?? null;
  const same = formatJson(written, 0) === formatJson(info, 0);
  verdict.expect(same, "tokenizer_info: differs from what tokenizer.json says");
}

async function checkTemplate(folder: ConfigFolder, config: JsonObject, verdict: Verdict): Promise<void> {
  const conversation = conversationFromJson(config.get("conv_template"));
  verdict.expect(conversation !== undefined, "conv_template: expected a conversation template");
  if (!conversation) return;
  for (const role of ["user", "assistant"])
    verdict.expect(conversation.roles[role] !== undefined, `conv_template: expected a role ${role}`);
  verdict.expect(conversation.seps.length <= 2, "conv_template: expected one or two seps");
  const tokenizerConfig = await folder.readObject("tokenizer_config.json");
  const ids = new Map<string, Json>([...config].filter(([name]) => /^(bos|eos|pad)_token_id$/.test(name)));
  const report = selectTemplate({
    requested: conversation,
    modelType: String(config.get("model_type")),
    modelName: "",
    chatTemplate: await readChatTemplate(folder, tokenizerConfig),
    vocabulary: readVocabulary((await folder.readObject("tokenizer.json")) ?? new Map()),
    ids,
    named: namedTokens({ tokenizerConfig }),
  });
  verdict.notices.push(...templateNotices(report));
}
