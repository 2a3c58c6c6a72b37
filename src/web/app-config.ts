import { toNumber } from "../core/json.ts";
import type { LibraryChoice } from "./choose-library.ts";
import { chooseLibrary, readShape } from "./choose-library.ts";
import type { ModelIntegrity } from "./integrity-manifest.ts";
import type { ModelDirectory } from "./model-directory.ts";

/** One member of WebLLM's `appConfig.model_list`, with WebLLM's own field names. */
export interface ModelRecord {
  readonly model: string;
  readonly model_id: string;
  readonly model_lib: string;
  readonly vram_required_MB: number;
  readonly low_resource_required: boolean;
  readonly required_features?: readonly string[];
  /** 1 embedding, 2 vision; absent for a language model. */
  readonly model_type?: number;
  readonly overrides?: Readonly<Record<string, number>>;
  readonly integrity?: ModelIntegrity;
}

export interface WebInput {
  readonly directory: ModelDirectory;
  readonly modelId: string;
  /** Where the folder will be served. */
  readonly modelUrl: string;
  /** For the choice among libraries of the same sizes; `modelId` when absent. */
  readonly modelName?: string | undefined;
  /** Address of a library of the user's own; it is not checked. */
  readonly modelLib?: string | undefined;
  /** Largest context window wanted, tokens; default 4096. */
  readonly contextWindowSize?: number | undefined;
  readonly integrity?: ModelIntegrity | undefined;
}

/** What WebLLM needs to know, or why it cannot run the model. */
export interface WebPlan {
  readonly record: ModelRecord | undefined;
  readonly library: LibraryChoice | undefined;
  /** One sentence each. */
  readonly notices: readonly string[];
}

const DEFAULT_CONTEXT = 4096;
const EMBEDDING = 1;
/** Prefill chunk of nearly all published libraries, tokens. */
const LIBRARY_CHUNK = 1024;
/** WebLLM's list calls models up to about this size fit for weak devices. */
const LOW_RESOURCE_MB = 3000;

/** Plans the entry of a converted model in `appConfig.model_list` (chat-config.md §15). Pure. */
export function planWebApp(input: WebInput): WebPlan {
  const { directory } = input;
  const windows = readWindows(input);
  const found = chooseLibrary({
    config: directory.config,
    modelName: input.modelName ?? input.modelId,
    contextWindowSize: windows.context,
  });
  const library = "file" in found ? found : undefined;
  const modelLib = input.modelLib ?? library?.url;
  const notices = [
    ...windows.notices,
    ...tokenizerNotices(directory),
    ...(input.modelLib === undefined ? (library?.notices ?? []) : []),
  ];
  if (modelLib === undefined) {
    const reason = "reason" in found ? found.reason : "";
    const advice = "Compile one with mlc_llm compile --device webgpu and name it with --model-lib.";
    return { record: undefined, library, notices: [...notices, `No library fits: ${reason}. ${advice}`] };
  }
  return { record: makeRecord(input, { windows, library, modelLib }), library, notices };
}

interface Windows {
  readonly context: number;
  readonly overrides: Readonly<Record<string, number>>;
  readonly notices: readonly string[];
}

/** WebLLM accepts exactly one of the two windows, and as much context as a browser's GPU can hold. */
function readWindows({ directory, contextWindowSize = DEFAULT_CONTEXT }: WebInput): Windows {
  const size = (name: string): number => toNumber(directory.config.get(name)) ?? -1;
  const own = size("context_window_size");
  const sliding = size("sliding_window_size");
  const context = own > 0 ? Math.min(own, contextWindowSize) : contextWindowSize;
  const isEmbedding = directory.config.get("model_task") === "embedding";
  const overrides = {
    ...(own === context || isEmbedding ? {} : { context_window_size: context }),
    ...(sliding > 0 ? { sliding_window_size: -1 } : {}),
  };
  const both = own > 0 && sliding > 0;
  const chunk = size("prefill_chunk_size");
  return {
    context: isEmbedding ? own : context,
    overrides,
    notices: [
      ...(both ? ["Both window sizes are set; the entry switches the sliding window off."] : []),
      ...(isEmbedding && chunk !== own
        ? [`WebLLM needs prefill_chunk_size ${own}, equal to the context window, and finds ${chunk}.`]
        : []),
    ],
  };
}

function tokenizerNotices({ tokenizerNames }: ModelDirectory): readonly string[] {
  const loadable = tokenizerNames.some((name) => name === "tokenizer.json" || name === "tokenizer.model");
  return loadable ? [] : ["WebLLM loads only tokenizer.json or tokenizer.model, and neither is listed."];
}

interface RecordParts {
  readonly windows: Windows;
  readonly library: LibraryChoice | undefined;
  readonly modelLib: string;
}

function makeRecord(input: WebInput, { windows, library, modelLib }: RecordParts): ModelRecord {
  const { directory } = input;
  const need = input.modelLib === undefined ? library?.need : undefined;
  const vram = need?.[1] ?? estimateVram(directory, windows.context);
  const kind = library?.kind ?? (directory.config.get("model_task") === "embedding" ? EMBEDDING : undefined);
  const { overrides } = windows;
  return {
    model: input.modelUrl,
    model_id: input.modelId,
    model_lib: modelLib,
    vram_required_MB: vram,
    low_resource_required: need?.[2] ?? vram <= LOW_RESOURCE_MB,
    ...(usesFloat16(directory) ? { required_features: ["shader-f16"] } : {}),
    ...(kind === undefined ? {} : { model_type: kind }),
    ...(Object.keys(overrides).length > 0 ? { overrides } : {}),
    ...(input.integrity ? { integrity: input.integrity } : {}),
  };
}

function usesFloat16({ config }: ModelDirectory): boolean {
  return /^q\d+f16/.test(String(config.get("quantization")));
}

/**
 * MB that the model takes: its parameters, keys and values of the whole context, and the activations of one
 * prefill chunk. An estimate of ours, for libraries that WebLLM's list says nothing about.
 */
function estimateVram(directory: ModelDirectory, context: number): number {
  const modelConfig = directory.config.get("model_config");
  const { layers = 0, hiddenSize = 0, heads = 1, kvHeads = 1, intermediateSize = 0 } = readShape(modelConfig);
  const own = modelConfig instanceof Map ? toNumber(modelConfig.get("head_dim")) : undefined;
  const headSize = own ?? hiddenSize / Math.max(heads, 1);
  const element = usesFloat16(directory) ? 2 : 4;
  const cache = 2 * layers * kvHeads * headSize * context * element;
  const activations = LIBRARY_CHUNK * (8 * hiddenSize + 3 * intermediateSize) * element;
  return Math.round((directory.paramBytes + cache + activations) / 1e4) / 100;
}
