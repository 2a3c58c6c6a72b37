import { join } from "node:path";
import { CheckpointError, MlcConvertError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { formatJson, isObject } from "../core/json.ts";
import type { ConfigFolder } from "./config-folder.ts";
import { packRwkvVocabulary, parseRwkvText, RWKV_VOCABULARY_NAME, readRwkvJson } from "./rwkv-vocab.ts";
import { parseSentencePieceModel } from "./sentencepiece-model.ts";
import { convertSentencePiece, rulesFor } from "./sentencepiece-tokenizer.ts";
import { convertTiktoken } from "./tiktoken.ts";

/** A file of the result: a copy of another file, or content made here. */
export type OutputFile =
  | { readonly name: string; readonly copyOf: string }
  | { readonly name: string; readonly content: string | Uint8Array };

/** Which tokenizer files the result has, and in which order they are listed. */
export interface TokenizerFiles {
  readonly files: readonly OutputFile[];
  /** `tokenizer_files` of mlc-chat-config.json; a name can occur twice, as upstream writes it. */
  readonly listed: readonly string[];
  /** tokenizer.json of the *result*, copied or converted. */
  readonly tokenizer: JsonObject | undefined;
  /** tokenizer_config.json of the source. */
  readonly tokenizerConfig: JsonObject | undefined;
  /** True when tokenizer.json was not in the source. */
  readonly converted: boolean;
  readonly notices: readonly string[];
}

/** What the conversions depend on besides the tokenizer files. */
export interface TokenizerContext {
  /** config.json's own spelling of the model type. */
  readonly modelType: string;
  readonly contextWindowSize: number;
}

/** What upstream copies, in its order; other names are left behind (chat-config.md §7.1). */
const COPIED_NAMES = [
  "tokenizer.model",
  "tokenizer.json",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "tokenizer_config.json",
];

/** Made by a conversion: what to write, and what of it is listed. */
interface Made {
  readonly files: readonly { readonly name: string; readonly content: string | Uint8Array }[];
  readonly listed: readonly string[];
  readonly tokenizer?: JsonObject;
}

/**
 * Chooses, and where necessary makes, the tokenizer files (chat-config.md §7–11). Nothing is written.
 * @throws {CheckpointError} E_LFS_POINTER, E_JSON for files that cannot be what they are named
 */
export async function collectTokenizerFiles(
  folder: ConfigFolder,
  context: TokenizerContext,
): Promise<TokenizerFiles> {
  const copied = COPIED_NAMES.filter((name) => folder.has(name));
  for (const name of copied) await folder.readBytes(name);
  const tokenizerConfig = await folder.readObject("tokenizer_config.json");
  const source = await folder.readObject("tokenizer.json");
  const conversions: readonly [string, () => Promise<Made | undefined>][] = [
    ["RWKV vocabulary", () => makeRwkv(folder)],
    ["tokenizer.model", () => makeFromSentencePiece(folder, context.modelType, tokenizerConfig)],
    ["tiktoken vocabulary", () => makeFromTiktoken(folder, context.contextWindowSize)],
  ];
  const notices: string[] = [];
  const made: Made[] = [];
  for (const [what, make] of conversions) {
    try {
      const result = await make();
      if (result) made.push(result);
    } catch (cause) {
      if (!(cause instanceof MlcConvertError) || cause.code === "E_LFS_POINTER") throw cause;
      notices.push(`The ${what} was not converted: ${cause.message}.`);
    }
  }
  const madeNames = new Set(made.flatMap(({ files }) => files.map(({ name }) => name)));
  const copies = copied.filter((name) => !madeNames.has(name));
  return {
    files: [
      ...copies.map((name) => ({ name, copyOf: join(folder.path, name) })),
      ...made.flatMap(({ files }) => files),
    ],
    listed: [...copied, ...made.flatMap(({ listed }) => listed)],
    tokenizer: source ?? made.findLast(({ tokenizer }) => tokenizer)?.tokenizer,
    tokenizerConfig,
    converted: source === undefined,
    notices: [...notices, ...loadabilityNotices(copied, made)],
  };
}

/** WebLLM loads only tokenizer.json or tokenizer.model (chat-config.md §15, errors.md B16). */
function loadabilityNotices(copied: readonly string[], made: readonly Made[]): readonly string[] {
  const names = new Set([...copied, ...made.flatMap(({ listed }) => listed)]);
  if (names.has("tokenizer.json") || names.has("tokenizer.model")) return [];
  if (made.some(({ files }) => files.some(({ name }) => name === "tokenizer_model")))
    return ["Only MLC-LLM can load this tokenizer: WebLLM reads no RWKV vocabulary."];
  if (names.has("vocab.json") && names.has("merges.txt"))
    return ["WebLLM cannot load this tokenizer: it has vocab.json and merges.txt but no tokenizer.json."];
  return ["No tokenizer was found: neither tokenizer.json nor tokenizer.model; the model will not run."];
}

async function makeRwkv(folder: ConfigFolder): Promise<Made | undefined> {
  const name = folder.names.findLast((candidate) => RWKV_VOCABULARY_NAME.test(candidate));
  if (name === undefined) return undefined;
  const isJson = RWKV_VOCABULARY_NAME.exec(name)?.[1] === "json";
  const tokens = isJson
    ? readRwkvJson(await folder.readJson(name))
    : parseRwkvText(await folder.readText(name));
  return { files: [{ name: "tokenizer_model", content: packRwkvVocabulary(tokens) }], listed: [] };
}

async function makeFromSentencePiece(
  folder: ConfigFolder,
  modelType: string,
  config: JsonObject | undefined,
): Promise<Made | undefined> {
  if (!folder.has("tokenizer.model") || folder.has("tokenizer.json")) return undefined;
  const named = config?.get("tokenizer_class");
  const tokenizerClass = typeof named === "string" ? named : undefined;
  const rules = rulesFor(tokenizerClass, modelType);
  if (rules === undefined) {
    const found = tokenizerClass ?? `model type ${modelType}`;
    throw new CheckpointError(
      "E_TOKENIZER_CLASS",
      `expected a Llama, CodeLlama or Gemma tokenizer, found ${found}; the runtimes can use tokenizer.model itself`,
    );
  }
  const tokenizer = convertSentencePiece({
    model: parseSentencePieceModel(await folder.readBytes("tokenizer.model")),
    rules,
    config: config ?? new Map(),
    addedTokens: await folder.readObject("added_tokens.json"),
  });
  return {
    files: [{ name: "tokenizer.json", content: rawJson(tokenizer) }],
    listed: ["tokenizer.json"],
    tokenizer,
  };
}

async function makeFromTiktoken(folder: ConfigFolder, contextWindowSize: number): Promise<Made | undefined> {
  const name = folder.names.find((candidate) => candidate.endsWith(".tiktoken"));
  if (name === undefined || folder.has("tokenizer.json")) return undefined;
  const converted = convertTiktoken(await folder.readText(name), contextWindowSize);
  return {
    files: [
      { name: "vocab.json", content: rawJson(converted.vocabulary) },
      { name: "tokenizer.json", content: rawJson(converted.tokenizer) },
      { name: "tokenizer_config.json", content: rawJson(converted.tokenizerConfig) },
      { name: "special_tokens_map.json", content: rawJson(converted.specialTokensMap) },
      { name: "merges.txt", content: converted.mergesText },
    ],
    listed: ["tokenizer.json", "vocab.json", "merges.txt", "special_tokens_map.json"],
    tokenizer: converted.tokenizer,
  };
}

/** The tokenizer libraries write non-ASCII as it is. */
function rawJson(value: Json): string {
  return formatJson(value, 2, (text) => JSON.stringify(text));
}

/**
 * Refuses a tokenizer whose `added_tokens` name one token twice (errors.md B15).
 * @throws {CheckpointError} E_DUPLICATE_TOKEN
 */
export function refuseDuplicateTokens(tokenizer: JsonObject): void {
  const added = tokenizer.get("added_tokens");
  const seen = new Set<string>();
  for (const entry of Array.isArray(added) ? added : []) {
    const content = isObject(entry) ? entry.get("content") : undefined;
    if (typeof content !== "string") continue;
    if (seen.has(content)) {
      const message = `tokenizer.json: expected distinct added tokens, found ${JSON.stringify(content)} twice`;
      throw new CheckpointError("E_DUPLICATE_TOKEN", message, {
        hint: "Remove one of the two entries from added_tokens; the weights are not affected.",
      });
    }
    seen.add(content);
  }
}
