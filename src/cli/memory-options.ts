import type { Command } from "commander";
import { byteSize, positiveInteger } from "./option-types.ts";

/** What a model shall fit into. */
export interface MemoryFlags {
  readonly ram?: number;
  readonly vram?: number;
  readonly context?: number;
}

/** Adds the options that say what the model will run on. */
export function withMemoryOptions(command: Command): Command {
  return command
    .option("--ram <size>", "to choose for: main memory, e.g. 16G (default: this machine's)", byteSize)
    .option("--vram <size>", "to choose for: GPU memory, 0 for none (default: this machine's)", byteSize)
    .option("--context <tokens>", "to choose for: context length (default: 8192 or less)", positiveInteger);
}
