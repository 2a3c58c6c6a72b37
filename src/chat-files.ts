import { basename } from "node:path";
import { type PreparedChatConfig, prepareChatConfig } from "./chat-config/prepare-chat-config.ts";
import { templateNamed } from "./chat-config/templates.ts";
import type { Json, JsonObject } from "./core/json.ts";
import type { Architecture } from "./plan/architecture.ts";
import { deriveForChatConfig } from "./plan/chat-derivation.ts";

/** What may be set in mlc-chat-config.json besides what config.json says. */
export interface ChatOptions {
  /** A registered conversation template; chosen and checked when absent. */
  readonly convTemplate?: string;
  readonly contextWindowSize?: number;
  readonly slidingWindowSize?: number;
  readonly prefillChunkSize?: number;
  readonly attentionSinkSize?: number;
  readonly tensorParallelShards?: number;
  readonly pipelineParallelStages?: number;
  readonly maxBatchSize?: number;
  /** Whether prefill and decode may run on different engines; only classes that have the field take it. */
  readonly disaggregation?: boolean;
  /** Refuse what a runtime cannot load. */
  readonly strict?: boolean;
}

/** Upstream's name of every override. */
const FIELDS: Readonly<Partial<Record<keyof ChatOptions, string>>> = {
  contextWindowSize: "context_window_size",
  slidingWindowSize: "sliding_window_size",
  prefillChunkSize: "prefill_chunk_size",
  attentionSinkSize: "attention_sink_size",
  tensorParallelShards: "tensor_parallel_shards",
  pipelineParallelStages: "pipeline_parallel_stages",
  maxBatchSize: "max_batch_size",
  disaggregation: "disaggregation",
};

/** A model of which the chat config is made. */
export interface ChatSource {
  readonly architecture: Architecture;
  readonly config: JsonObject;
  /** Folder of config.json and the tokenizer. */
  readonly folder: string;
  /** Repository or folder, for the rules that look at names. */
  readonly name: string;
  readonly quantization: string;
}

/**
 * Checks the options against a model of which no file but config.json needs to be here.
 * @throws {MlcConvertError} as {@link makeChatFiles} for options
 */
export function checkChatOptions(architecture: Architecture, config: JsonObject, options: ChatOptions): void {
  if (options.convTemplate !== undefined) templateNamed(options.convTemplate);
  deriveForChatConfig(architecture, config, overridesOf(options));
}

function overridesOf(options: ChatOptions): ReadonlyMap<string, Json> {
  const overrides = new Map<string, Json>();
  for (const [option, field] of Object.entries(FIELDS)) {
    const value = options[option as keyof ChatOptions];
    if (typeof value === "number" || typeof value === "boolean") overrides.set(field, value);
  }
  return overrides;
}

/**
 * Makes mlc-chat-config.json and the tokenizer files in memory.
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function makeChatFiles(source: ChatSource, options: ChatOptions): Promise<PreparedChatConfig> {
  const { architecture, config, folder, name, quantization } = source;
  const derived = deriveForChatConfig(architecture, config, overridesOf(options));
  const prepared = await prepareChatConfig({
    model: {
      modelType: architecture.key,
      modelConfig: derived.fields,
      modelTask: architecture.modelTask,
      embeddingMetadata: architecture.embeddingMetadata,
    },
    quantization,
    folder,
    modelName: basename(name),
    ...(options.convTemplate === undefined ? {} : { convTemplate: options.convTemplate }),
    ...(options.strict === undefined ? {} : { strict: options.strict }),
  });
  return { ...prepared, notices: [...derived.notices, ...prepared.notices] };
}
