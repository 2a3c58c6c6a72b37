import { CheckpointError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { toNumber } from "../core/json.ts";
import { countActiveVocabulary, namedTokens } from "./active-vocab.ts";
import type { ModelFacts } from "./chat-config.ts";
import { buildChatConfig, embeddingFactsToJson, formatChatConfig, readSizes } from "./chat-config.ts";
import { readChatTemplate } from "./chat-template.ts";
import type { ConfigFolder } from "./config-folder.ts";
import { openConfigFolder } from "./config-folder.ts";
import type { SamplingValues } from "./sampling-values.ts";
import { fillSamplingValues } from "./sampling-values.ts";
import { selectTemplate } from "./select-template.ts";
import type { TemplateReport } from "./template-report.ts";
import { templateNotices } from "./template-report.ts";
import { templateNamed } from "./templates.ts";
import type { OutputFile, TokenizerFiles } from "./tokenizer-files.ts";
import { collectTokenizerFiles, refuseDuplicateTokens } from "./tokenizer-files.ts";
import { DEFAULT_TOKENIZER_INFO, detectTokenizerInfo } from "./tokenizer-info.ts";
import { readVocabulary } from "./vocabulary.ts";

export interface ChatConfigInput {
  readonly model: ModelFacts;
  readonly quantization: string;
  /** The folder of config.json, generation_config.json and the tokenizer files. */
  readonly folder: string;
  /** Name of a registered template; chosen and checked when absent. */
  readonly convTemplate?: string | undefined;
  /** Repository or folder name, for the rules that look at it. */
  readonly modelName?: string | undefined;
  /** Refuse a result that a runtime cannot load, instead of a notice. */
  readonly strict?: boolean;
}

/** mlc-chat-config.json and the tokenizer files, ready to be written. */
export interface PreparedChatConfig {
  /** In writing order; mlc-chat-config.json is the last. */
  readonly files: readonly OutputFile[];
  readonly config: JsonObject;
  /** Exact text of mlc-chat-config.json. */
  readonly text: string;
  /** Which conversation template was taken, why, and how well it fits. */
  readonly template: TemplateReport;
  /** Things worth telling the user, one sentence each; the template's are among them. */
  readonly notices: readonly string[];
}

export const CHAT_CONFIG_NAME = "mlc-chat-config.json";

/**
 * Makes mlc-chat-config.json and everything the tokenizer needs, without writing anything (chat-config.md §1).
 * @throws {UsageError} E_CONV_TEMPLATE
 * @throws {SourceError} E_CONFIG_FOLDER
 * @throws {CheckpointError} E_JSON, E_LFS_POINTER, E_TOKENIZER_JSON, E_DUPLICATE_TOKEN, E_TOKENIZER_MISSING (strict)
 * @throws {PlanError} E_CONFIG_INTEGER
 */
export async function prepareChatConfig(input: ChatConfigInput): Promise<PreparedChatConfig> {
  const { model } = input;
  const requested = input.convTemplate === undefined ? undefined : templateNamed(input.convTemplate);
  const folder = await openConfigFolder(input.folder);
  const config = await folder.readObject("config.json");
  const generationConfig = await folder.readObject("generation_config.json");
  const embedding = model.embeddingMetadata ? embeddingFactsToJson(model.embeddingMetadata) : null;
  const sampling = fillSamplingValues(
    [generationConfig, config].filter((file) => file !== undefined),
    embedding,
  );
  const sizes = readSizes(model.modelConfig);
  const tokenizer = await collectTokenizerFiles(folder, {
    modelType: textOf(config?.get("model_type")) ?? model.modelType,
    contextWindowSize: Number(sizes.get("context_window_size")),
  });
  refuseUnloadable(tokenizer, input.strict === true);
  const detected = tokenizer.tokenizer ? detectTokenizerInfo(tokenizer.tokenizer) : undefined;
  const activeVocabSize = await activeVocabulary(folder, tokenizer);
  const template = selectTemplate({
    requested,
    modelType: model.modelType,
    modelName: `${input.modelName ?? ""} ${textOf(config?.get("_name_or_path")) ?? ""}`.trim(),
    chatTemplate: await readChatTemplate(folder, tokenizer.tokenizerConfig),
    vocabulary: readVocabulary(tokenizer.tokenizer ?? new Map()),
    ids: new Map([...sampling.values].filter(([name]) => !sampling.defaultedIds.includes(name))),
    named: namedTokens({
      tokenizerConfig: tokenizer.tokenizerConfig,
      specialTokensMap: await folder.readObject("special_tokens_map.json"),
    }),
  });
  const chatConfig = buildChatConfig({
    model,
    quantization: input.quantization,
    values: sampling.values,
    tokenizerFiles: tokenizer.listed,
    tokenizerInfo: detected ?? DEFAULT_TOKENIZER_INFO,
    activeVocabSize,
    conversation: template.conversation,
  });
  const text = formatChatConfig(chatConfig);
  return {
    files: [...tokenizer.files, { name: CHAT_CONFIG_NAME, content: text }],
    config: chatConfig,
    text,
    template,
    notices: [
      ...folder.notices(),
      ...templateNotices(template),
      ...tokenizer.notices,
      ...(detected?.decoderFound === false
        ? ["tokenizer.json names no ByteLevel or ByteFallback decoder; byte_fallback is assumed."]
        : []),
      ...sizeNotices(sizes, activeVocabSize),
      ...idNotices(sampling),
    ],
  };
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Only a tokenizer.json of the source is counted; for a converted one upstream keeps `vocab_size`. */
async function activeVocabulary(folder: ConfigFolder, files: TokenizerFiles): Promise<number | undefined> {
  if (files.converted || !files.tokenizer) return undefined;
  refuseDuplicateTokens(files.tokenizer);
  return countActiveVocabulary({
    tokenizer: files.tokenizer,
    tokenizerConfig: files.tokenizerConfig,
    specialTokensMap: await folder.readObject("special_tokens_map.json"),
    addedTokens: await folder.readObject("added_tokens.json"),
  });
}

function refuseUnloadable(tokenizer: TokenizerFiles, strict: boolean): void {
  const [problem] = tokenizer.notices;
  if (!strict || problem === undefined) return;
  throw new CheckpointError("E_TOKENIZER_MISSING", problem, {
    hint: "Add the missing tokenizer files to the source folder, or leave --strict out.",
  });
}

function sizeNotices(
  sizes: ReadonlyMap<string, number | bigint>,
  activeVocabSize: number | undefined,
): readonly string[] {
  const size = (name: string): number => toNumber(sizes.get(name)) ?? -1;
  const context = size("context_window_size");
  const window = size("sliding_window_size");
  const notices: string[] = [];
  if (context > 0 && window > 0)
    notices.push(
      `context_window_size ${context} and sliding_window_size ${window} are both set; WebLLM refuses that unless its entry overrides one with -1, as the one of \`mlc-convert web\` does.`,
    );
  const chunk = size("prefill_chunk_size");
  if (context > 0 && chunk > context)
    notices.push(
      `prefill_chunk_size ${chunk} is larger than context_window_size ${context}; give --prefill-chunk-size too.`,
    );
  if (activeVocabSize !== undefined && activeVocabSize > size("vocab_size"))
    notices.push(
      `The tokenizer has ${activeVocabSize} entries, more than the vocab_size ${size("vocab_size")} of config.json.`,
    );
  return notices;
}

function idNotices({ defaultedIds, values }: SamplingValues): readonly string[] {
  return defaultedIds.map(
    (name) =>
      `${name} is in neither generation_config.json nor config.json; the default ${values.get(name)} is written.`,
  );
}
