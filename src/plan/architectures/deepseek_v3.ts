import type { Architecture } from "../architecture.ts";
import { COMMON_KINDS, defineArchitecture } from "../define-architecture.ts";
import { deepseekV2Config, deepseekV2Constraints, deepseekV2Table } from "./deepseek_v2.ts";

/** The same as its predecessor, and also in fp8. */
export const architecture: Architecture = defineArchitecture({
  key: "deepseek_v3",
  classes: ["DeepseekV3ForCausalLM"],
  config: deepseekV2Config,
  schemeKinds: [...COMMON_KINDS, "block-scale-quant"],
  constraints: deepseekV2Constraints,
  table: deepseekV2Table,
});
