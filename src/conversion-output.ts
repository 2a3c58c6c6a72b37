import { basename } from "node:path";
import type { ChatOptions } from "./chat-files.ts";
import type { FileFrame, ShardResult } from "./core/layout.ts";
import { VERSION } from "./core/package-root.ts";
import { keyDigest } from "./execute/journal.ts";
import type { ExtraFile, OutputRequest } from "./execute/write-output.ts";
import { formatGgufIndex, GGUF_INDEX_NAME, indexedGguf } from "./gguf/index-file.ts";
import type { Architecture } from "./plan/architecture.ts";
import type { ConversionRequest, PlannedConversion } from "./plan-model.ts";
import { givenOptions, provenanceFile } from "./provenance.ts";
import { sourceFacts } from "./source-facts.ts";
import { indexFiles } from "./tensor-cache/index-file.ts";

/** What lies beside the shards, and where. */
export interface OutputOptions extends Omit<ConversionRequest, "quantization"> {
  /** Absolute path of the folder; of the file where a GGUF file is made and the name ends in `.gguf`. */
  readonly output: string;
  readonly backend?: string;
  /** Also write the index under the name that older runtimes ask for; default true. */
  readonly legacyIndex?: boolean;
  /** Only shards and index: no chat config, tokenizer files or provenance. */
  readonly weightsOnly?: boolean;
  /** Write mlc-convert.json, which says where the result comes from; default true. */
  readonly manifest?: boolean;
  readonly chat?: ChatOptions;
}

/** A conversion as it will be written, and what the user should know about the files beside the shards. */
export interface ConversionOutput {
  readonly request: OutputRequest;
  readonly notices: readonly string[];
}

/** What is to be written of a planned conversion: its shards, and behind them its chat config and index files. */
export async function conversionOutput(
  planned: PlannedConversion,
  options: OutputOptions,
): Promise<ConversionOutput> {
  const { plan, layout } = planned;
  const facts = await sourceFacts(plan, options);
  if (planned.target.kind === "gguf") {
    return ggufOutput({ planned, options, facts, frames: planned.target.frames });
  }
  const chat = await chatFiles(planned, planned.target.architecture, options);
  const closing = { planned, options, chat: chat.files, facts };
  return {
    notices: chat.notices,
    request: {
      plan,
      layout,
      target: options.output,
      version: VERSION,
      facts,
      closingFiles: (results) => closingFiles(closing, results),
    },
  };
}

interface GgufWork extends Omit<Closing, "chat"> {
  readonly frames: readonly FileFrame[];
}

/** One GGUF file, or a folder of one or several with what says where they come from. */
function ggufOutput({ planned, options, facts, frames }: GgufWork): ConversionOutput {
  const { plan, layout } = planned;
  const single = isGgufFile(options.output);
  const bare = single || options.weightsOnly || options.manifest === false;
  return {
    notices: [],
    request: {
      plan,
      layout,
      target: options.output,
      single,
      frames,
      version: VERSION,
      facts,
      closingFiles: async (results) => {
        if (bare) return [];
        const index = formatGgufIndex(indexedGguf(frames, layout, results));
        const files = [{ name: GGUF_INDEX_NAME, content: index }];
        return [await provenance({ planned, options, facts, chat: [] }, files), ...files];
      },
    },
  };
}

interface ChatFiles {
  readonly files: readonly ExtraFile[];
  readonly notices: readonly string[];
}

async function chatFiles(
  { model, plan }: PlannedConversion,
  architecture: Architecture,
  options: OutputOptions,
): Promise<ChatFiles> {
  const { config, folder, origin, ggufMetadata } = model;
  if (options.weightsOnly) return { files: [], notices: [] };
  // Loaded only when wanted: templates and tokenizers take longer to load than a small model to convert.
  const { makeChatFiles } = await import("./chat-files.ts");
  const quantization = plan.scheme.name;
  const make = (from: string): Promise<ChatFiles> =>
    makeChatFiles(
      { architecture, config, folder: from, name: basename(origin.id), quantization },
      options.chat ?? {},
    );
  if (folder !== undefined) return make(folder);
  if (!ggufMetadata) return { files: [], notices: [] };
  const { withRebuiltFiles } = await import("./rebuilt-tokenizer.ts");
  return withRebuiltFiles({ config, metadata: ggufMetadata }, make);
}

interface Closing {
  readonly planned: PlannedConversion;
  readonly options: OutputOptions;
  readonly chat: readonly ExtraFile[];
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Everything beside the shards, in writing order: the index is the last. */
async function closingFiles(
  closing: Closing,
  results: readonly ShardResult[],
): Promise<readonly ExtraFile[]> {
  const { planned, options, chat } = closing;
  const { plan, layout } = planned;
  const { tensors, metadata } = plan;
  const index = indexFiles({ tensors, metadata, layout, results }, options.legacyIndex ?? true).map(
    ({ name, text }) => ({ name, content: text }),
  );
  const files = [...chat, ...index];
  if (options.weightsOnly || options.manifest === false) return files;
  return [await provenance(closing, files), ...files];
}

function provenance({ planned, options, facts }: Closing, files: readonly ExtraFile[]): Promise<ExtraFile> {
  const { plan, layout, model } = planned;
  const conversion = {
    modelType: plan.architecture,
    quantization: plan.scheme.name,
    backend: options.backend ?? "auto",
    options: givenOptions({ ...options, ...options.chat }),
    planDigest: keyDigest({ version: VERSION, facts, layout }),
  };
  return provenanceFile({ origin: model.origin, conversion, files });
}

/** True where the output is one GGUF file and no folder. */
export const isGgufFile = (output: string): boolean => output.endsWith(".gguf");
