import type { Json, JsonObject } from "../core/json.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";

const DEFAULT_MAX_BATCH_SIZE = 128;

/**
 * The config of mlc-chat-config.json: derived, dumped, overridden, and derived again without extra keys.
 * The second run matters: some classes do not give the same result twice (architectures.md §4.0).
 *
 * @param overrides fields to replace between the two runs; `max_batch_size` is 128 unless it is given
 * @throws {PlanError} naming class and field
 */
export function deriveForChatConfig(
  architecture: Architecture,
  config: JsonObject,
  overrides: JsonObject = new Map(),
): DerivedConfig {
  const first = architecture.derive(config);
  const notices = [...first.notices];
  const fields = new Map<string, Json>(first.fields);
  const wanted = new Map<string, Json>([["max_batch_size", DEFAULT_MAX_BATCH_SIZE], ...overrides]);
  for (const [name, value] of wanted) {
    if (fields.has(name)) fields.set(name, value);
    else if (overrides.has(name))
      notices.push(`${architecture.configClass} has no field ${name}: the override is ignored`);
  }
  const second = architecture.derive(fields);
  const lost = lostOverrides(architecture, overrides, second.fields);
  return {
    fields: second.fields,
    extra: first.extra,
    notices: [...new Set([...notices, ...second.notices, ...lost])],
  };
}

/** Some classes set a field again, whatever it was; 0 asks them to. */
function lostOverrides(
  { configClass }: Architecture,
  overrides: JsonObject,
  fields: JsonObject,
): readonly string[] {
  return [...overrides].flatMap(([name, wanted]) => {
    const found = fields.get(name);
    if (found === undefined || found === wanted || wanted === 0) return [];
    return [`${configClass} sets ${name} to ${String(found)} again: the override ${String(wanted)} is lost`];
  });
}
