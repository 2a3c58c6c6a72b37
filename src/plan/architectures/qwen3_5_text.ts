import type { Architecture } from "../architecture.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { qwen35Config, qwen35Constraints, qwen35Table, textOnlyNames } from "./qwen3_5.ts";

/** The same as the multimodal wrapper. */
export const architecture: Architecture = defineArchitecture({
  key: "qwen3_5_text",
  awqByRule: true,
  classes: ["Qwen3_5ForCausalLM"],
  config: qwen35Config,
  constraints: qwen35Constraints,
  aliases: textOnlyNames,
  table: qwen35Table,
});
