import { PlanError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { Float, formatJson } from "../core/json.ts";
import type { Conversation } from "./conversation.ts";
import { conversationToJson } from "./conversation.ts";
import type { TokenizerInfo } from "./tokenizer-info.ts";
import { tokenizerInfoToJson } from "./tokenizer-info.ts";

/** What an embedding model's runtime does with hidden states. */
export interface EmbeddingFacts {
  readonly modelType: "encoder" | "decoder";
  readonly poolingStrategy: "cls" | "last";
  readonly normalize: boolean;
}

/** What the architecture says of a model, as data. */
export interface ModelFacts {
  /** Registry key, not config.json's spelling. */
  readonly modelType: string;
  /** `model_config`: every field after both derivation passes, in order. */
  readonly modelConfig: JsonObject;
  readonly modelTask: "chat" | "embedding";
  readonly embeddingMetadata?: EmbeddingFacts | undefined;
}

/** Everything that is written to mlc-chat-config.json. */
export interface ChatConfigFacts {
  readonly model: ModelFacts;
  readonly quantization: string;
  /** Sampling values, ids and `embedding_metadata` (chat-config.md §3). */
  readonly values: ReadonlyMap<string, Json>;
  readonly tokenizerFiles: readonly string[];
  readonly tokenizerInfo: TokenizerInfo;
  /** Entries of the tokenizer; `vocab_size` when absent. */
  readonly activeVocabSize?: number | undefined;
  readonly conversation: Conversation;
}

const SAMPLING_FIELDS = [
  "temperature",
  "presence_penalty",
  "frequency_penalty",
  "repetition_penalty",
  "top_p",
];
const ID_FIELDS = ["pad_token_id", "bos_token_id", "eos_token_id"];

/** The top-level sizes, and what they are where the class has no such field; `undefined`: required. */
const SIZE_FIELDS: readonly (readonly [string, number | undefined])[] = [
  ["vocab_size", undefined],
  ["context_window_size", -1],
  ["sliding_window_size", -1],
  ["prefill_chunk_size", undefined],
  ["attention_sink_size", -1],
  ["tensor_parallel_shards", undefined],
  ["pipeline_parallel_stages", 1],
];

/**
 * Puts the fields together in file order (chat-config.md §2).
 * @throws {PlanError} E_CONFIG_INTEGER for a size that is no integer
 */
export function buildChatConfig(facts: ChatConfigFacts): JsonObject {
  const { model, values } = facts;
  const sizes = readSizes(model.modelConfig);
  const filled = (name: string): [string, Json] => [name, values.get(name) ?? null];
  return new Map<string, Json>([
    ["version", "0.1.0"],
    ["model_type", model.modelType],
    ["quantization", facts.quantization],
    ["model_config", model.modelConfig],
    ...sizes,
    ["active_vocab_size", facts.activeVocabSize ?? sizes.get("vocab_size") ?? null],
    ...SAMPLING_FIELDS.map(filled),
    ["tokenizer_files", facts.tokenizerFiles],
    ["tokenizer_info", tokenizerInfoToJson(facts.tokenizerInfo)],
    ["conv_template", conversationToJson(facts.conversation)],
    ...ID_FIELDS.map(filled),
    ["model_task", model.modelTask],
    filled("embedding_metadata"),
  ]);
}

/** The text of mlc-chat-config.json, without a final newline. */
export function formatChatConfig(config: JsonObject): string {
  return formatJson(config, 2);
}

/** `embedding_metadata` as it is written. */
export function embeddingFactsToJson(facts: EmbeddingFacts): JsonObject {
  return new Map<string, Json>([
    ["model_type", facts.modelType],
    ["pooling_strategy", facts.poolingStrategy],
    ["normalize", facts.normalize],
  ]);
}

/**
 * The seven sizes at the top level of the file.
 * @throws {PlanError} E_CONFIG_INTEGER
 */
export function readSizes(modelConfig: JsonObject): ReadonlyMap<string, number | bigint> {
  return new Map(
    SIZE_FIELDS.map(([name, fallback]) => {
      if (!modelConfig.has(name) && fallback !== undefined) return [name, fallback];
      return [name, toInteger(modelConfig.get(name), name)];
    }),
  );
}

/** Whole floats, digit strings and booleans count as integers, as they do upstream. */
function toInteger(value: Json | undefined, name: string): number | bigint {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof Float && Number.isInteger(value.value)) return value.value;
  if (typeof value === "string" && /^\s*[-+]?\d+\s*$/.test(value)) return Number(value);
  const found = value === undefined ? "nothing" : formatJson(value, 0);
  throw new PlanError("E_CONFIG_INTEGER", `model_config.${name}: expected an integer, found ${found}`, {
    hint: `Correct ${name} in config.json.`,
  });
}
