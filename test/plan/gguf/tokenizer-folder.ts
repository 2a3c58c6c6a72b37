import { existsSync, readFileSync } from "node:fs";
import { isObject, type JsonObject, parseJson } from "../../../src/core/json.ts";
import type { TokenizerFiles } from "../../../src/plan/gguf/tokenizer-files.ts";
import { goldenPath } from "../../gguf/golden.ts";

/** A value as config files hold it, from plain data. */
export function jsonObject(value: unknown): JsonObject {
  const parsed = parseJson(typeof value === "string" ? value : JSON.stringify(value));
  if (!isObject(parsed)) throw new Error("no object");
  return parsed;
}

/** The files of a golden tokenizer, beside a config. */
export function tokenizerFiles(folder: string, config: JsonObject): TokenizerFiles {
  const path = (name: string): string => goldenPath(`tokenizers/${folder}/${name}`);
  const json = (name: string): JsonObject => jsonObject(readFileSync(path(name), "utf8"));
  return {
    config,
    tokenizerConfig: json("tokenizer_config.json"),
    ...(existsSync(path("tokenizer.json")) ? { tokenizerJson: json("tokenizer.json") } : {}),
    ...(existsSync(path("tokenizer.model")) ? { tokenizerModel: readFileSync(path("tokenizer.model")) } : {}),
  };
}
