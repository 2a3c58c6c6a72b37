import type { ModelFacts } from "../../src/chat-config/chat-config.ts";
import { isObject, parseJson } from "../../src/core/json.ts";
import type { GoldenCase } from "./golden-case.ts";

const EMBEDDING: Readonly<Record<string, ModelFacts["embeddingMetadata"]>> = {
  "qwen3-embedding": { modelType: "decoder", poolingStrategy: "last", normalize: true },
  bert: { modelType: "encoder", poolingStrategy: "cls", normalize: true },
  "bert-bge": { modelType: "encoder", poolingStrategy: "cls", normalize: true },
};

/** The facts of a case's architecture, its `model_config` read off the expected text. */
export function factsOf(golden: GoldenCase): ModelFacts {
  const expected = parseJson(golden.expected ?? "{}");
  const modelConfig = isObject(expected) ? expected.get("model_config") : undefined;
  const modelType = golden.model_type ?? "";
  if (!isObject(modelConfig)) throw new Error(`${golden.id} has no model_config`);
  const embeddingMetadata = EMBEDDING[modelType];
  return { modelType, modelConfig, modelTask: embeddingMetadata ? "embedding" : "chat", embeddingMetadata };
}
