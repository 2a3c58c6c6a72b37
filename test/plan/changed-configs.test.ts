import { describe, expect, it } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { Float, isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import type { Architecture, DerivedConfig } from "../../src/plan/architecture.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { compareTables } from "./compare-tables.ts";
import { readGolden } from "./reference-tables.ts";

/** Where upstream fails, and we do what it means: a bias that nothing makes, a width of -1. */
const DELIBERATE = new Set(["deepseek attention_bias true", "gptj n_inner absent"]);
const ABSENT = Symbol("absent");

/** Other values that a field may have; most make no sense together with the others. */
function others(value: Json): readonly (Json | typeof ABSENT)[] {
  if (typeof value === "boolean") return [ABSENT, !value];
  if (typeof value === "number") return [ABSENT, value + 1, value * 2, 1, 0];
  if (value instanceof Float) return [ABSENT, new Float(0.5)];
  return value === null ? [ABSENT, true, 64] : [ABSENT];
}

function* fieldsOf(config: JsonObject, path: readonly string[] = []): Generator<[readonly string[], Json]> {
  for (const [name, value] of config) {
    yield [[...path, name], value];
    if (isObject(value)) yield* fieldsOf(value, [...path, name]);
  }
}

function changed(config: JsonObject, path: readonly string[], value: Json | typeof ABSENT): JsonObject {
  const [name, ...rest] = path as [string, ...string[]];
  const copy = new Map(config);
  if (rest.length > 0) copy.set(name, changed(config.get(name) as JsonObject, rest, value));
  else if (value === ABSENT) copy.delete(name);
  else copy.set(name, value);
  return copy;
}

/** The derived config, or `undefined` where it is refused. */
function derivedFrom(architecture: Architecture, config: JsonObject): DerivedConfig | undefined {
  try {
    const derived = architecture.derive(config);
    architecture.parameters(derived);
    return derived;
  } catch (error) {
    expect(error).toBeInstanceOf(PlanError);
    return undefined;
  }
}

const cases = [...readGolden("cases.json")].map(([id, value]) => {
  const entry = value as JsonObject;
  return { id, key: String(entry.get("architecture")), config: entry.get("config") as JsonObject };
});

describe("the parameter table, whatever field of the config is another one,", () => {
  it.each(cases)("is upstream's: $id", async ({ key, config }) => {
    const architecture = await architectureOf(key);
    let compared = 0;
    for (const [path, value] of fieldsOf(config)) {
      for (const other of others(value)) {
        const what = `${key} ${path.join(".")} ${other === ABSENT ? "absent" : String(other)}`;
        if (DELIBERATE.has(what)) continue;
        const derived = derivedFrom(architecture, changed(config, path, other));
        if (!derived) continue;
        compareTables(architecture, derived, what);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(10);
  });
});
