import type { Architecture } from "../architecture.ts";
import { wholeHeads } from "../constraints.ts";
import { defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import { gemma3Config, gemma3Table } from "./gemma3.ts";

/** The same as the multimodal wrapper, whose config may lack `text_config`. */
export const architecture: Architecture = defineArchitecture({
  key: "gemma3_text",
  awqByRule: true,
  classes: ["Gemma3ForCausalLM"],
  config: gemma3Config,
  sourceFormats: GGUF_FORMATS,
  schemeKinds: ["no-quant", "group-quant"],
  constraints: [(fields) => wholeHeads()(fields.nested("text_config"))],
  table: gemma3Table,
});
