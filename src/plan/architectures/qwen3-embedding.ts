import { isArray } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { renameSources } from "../table.ts";
import { blockScaleKinds, qwen3Config, qwen3Constraints, qwen3Table } from "./qwen3.ts";

/** The decoder without its head; names of the checkpoint lack the prefix. Its `model_type` is that of the chat model. */
export const architecture: Architecture = defineArchitecture({
  key: "qwen3-embedding",
  awqByRule: true,
  classes: ["Qwen3Model", "Qwen3ForCausalLM"],
  config: qwen3Config,
  modelTask: "embedding",
  embeddingMetadata: { modelType: "decoder", poolingStrategy: "last", normalize: true },
  schemeKinds: blockScaleKinds,
  recognizes: (config) => {
    const classes = config.get("architectures");
    return config.get("model_type") === "qwen3" && isArray(classes) && classes.includes("Qwen3Model");
  },
  constraints: qwen3Constraints,
  table: (fields) => renameSources(qwen3Table(fields), (name) => name.replace(/^model\./, "")),
});
