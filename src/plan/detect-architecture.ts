import type { JsonObject } from "../core/json.ts";

export function detectArchitecture(
  config: JsonObject,
  override?: string,
): { key: string; notices: string[] } {
  return { key: override ?? String(config.get("model_type")), notices: [] };
}
