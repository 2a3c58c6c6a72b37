import type { Command } from "commander";
import { integer, positiveInteger, truth, wholeNumber } from "./option-types.ts";

/** Options that change mlc-chat-config.json. */
export interface ChatFlags {
  readonly convTemplate?: string;
  readonly contextWindowSize?: number;
  readonly slidingWindowSize?: number;
  readonly prefillChunkSize?: number;
  readonly attentionSinkSize?: number;
  readonly tensorParallelShards?: number;
  readonly pipelineParallelStages?: number;
  readonly maxBatchSize?: number;
  readonly disaggregation?: boolean;
  readonly strict?: boolean;
}

/** Adds them. */
export function withChatOptions(command: Command): Command {
  return command
    .option(
      "--conv-template <name>",
      "conversation template (default: chosen, and checked against the tokenizer's)",
    )
    .option("--context-window-size <tokens>", "longest context", positiveInteger)
    .option("--sliding-window-size <tokens>", "window of sliding attention; -1 for none", integer)
    .option("--prefill-chunk-size <tokens>", "tokens that are prefilled at once", positiveInteger)
    .option("--attention-sink-size <tokens>", "tokens that sliding attention always sees", wholeNumber)
    .option("--tensor-parallel-shards <count>", "number of devices a layer is spread over", positiveInteger)
    .option("--pipeline-parallel-stages <count>", "number of stages layers are spread over", positiveInteger)
    .option("--max-batch-size <count>", "largest batch", positiveInteger)
    .option("--disaggregation <true|false>", "let prefill and decode run on different engines", truth)
    .option(
      "--strict",
      "refuse what a runtime could not load, and weights that are not finite or too large for the scheme",
    );
}

const NAMES = [
  "convTemplate",
  "contextWindowSize",
  "slidingWindowSize",
  "prefillChunkSize",
  "attentionSinkSize",
  "tensorParallelShards",
  "pipelineParallelStages",
  "maxBatchSize",
  "disaggregation",
  "strict",
] as const satisfies readonly (keyof ChatFlags)[];

/** The chat options among a command's flags. */
export function chatOptionsOf(flags: ChatFlags): ChatFlags {
  return Object.fromEntries(
    NAMES.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])),
  );
}
