import { describe, expect, it } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { Float, isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import type { Architecture, DerivedConfig } from "../../src/plan/architecture.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { sourceNames } from "../../src/plan/table.ts";
import { expectedParameters, expectedUnused, readGolden } from "./reference-tables.ts";

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

type Row = readonly unknown[];
const sorted = (rows: readonly Row[]): readonly string[] => rows.map((row) => JSON.stringify(row)).sort();

function ours(architecture: Architecture, config: DerivedConfig): readonly string[] {
  return sorted([
    ...architecture
      .parameters(config)
      .map(({ name, shape, dtype, noQuant, value, shard }) => [
        ...[name, shape, dtype, noQuant ?? false, [...new Set(sourceNames(value))]],
        ...[shard?.name, shard?.dim, shard?.segments],
      ]),
    ...architecture.unused(config).map((name) => [name]),
  ]);
}

function theirs(architecture: Architecture, config: DerivedConfig): readonly string[] {
  return sorted([
    ...expectedParameters(architecture.key, config).map(({ name, shape, dtype, noQuant, sources, shard }) => [
      ...[name, shape, dtype, noQuant, [...new Set(sources)]],
      ...[shard?.name, shard?.dim, shard?.segments],
    ]),
    ...expectedUnused(architecture.key, config).map((name) => [name]),
  ]);
}

/** The parameters, or `undefined` where the config is refused. */
function parametersOf(architecture: Architecture, config: JsonObject) {
  try {
    const derived = architecture.derive(config);
    return { derived, rows: ours(architecture, derived) };
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
        const found = DELIBERATE.has(what)
          ? undefined
          : parametersOf(architecture, changed(config, path, other));
        if (!found) continue;
        expect(found.rows, what).toEqual(theirs(architecture, found.derived));
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(10);
  });
});
