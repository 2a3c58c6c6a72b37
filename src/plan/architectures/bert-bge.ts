import type { Architecture } from "../architecture.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { bertConfig, bertConstraints, bertTable, encoderMetadata } from "./bert.ts";

/** The same model; checkpoints of this family carry three tensors that nobody needs. */
export const architecture: Architecture = defineArchitecture({
  key: "bert-bge",
  awqByRule: true,
  classes: ["BertModel"],
  config: bertConfig,
  modelTask: "embedding",
  embeddingMetadata: encoderMetadata,
  constraints: bertConstraints,
  suggests: (config) => {
    const path = config.get("_name_or_path");
    return config.get("model_type") === "bert" && typeof path === "string" && /\bbge\b|_bge-/i.test(path);
  },
  ignores: () => ["pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"],
  table: bertTable,
});
