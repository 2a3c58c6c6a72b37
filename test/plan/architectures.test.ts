import { describe, expect, it } from "vitest";
import { isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import type { Architecture, DerivedConfig } from "../../src/plan/architecture.ts";
import type { Expression } from "../../src/plan/parameter.ts";
import { architectureKeys, architectureOf } from "../../src/plan/registry.ts";
import { compareTables } from "./compare-tables.ts";
import { expectedParameters, readGolden, registry } from "./reference-tables.ts";

const ops = (value: Expression): string => {
  if (value.op === "source") return "source";
  const inner = "parts" in value ? value.parts[0] : value.of;
  return `${value.op}${inner === undefined || inner.op === "source" ? "" : `(${ops(inner)})`}`;
};

/** The operations that a verb of the tables means; the numbers in them are checked by the golden conversions. */
const VERBS: Readonly<Record<string, readonly string[]>> = {
  take: ["source"],
  cat0: ["concat"],
  stack0: ["stack"],
  stack0_cat0: ["stack(concat)"],
  add1_src: ["add1"],
  add1_f32: ["add1"],
  T: ["permute"],
  neox_qkv: ["reshape(permute(reshape))"],
  ilm2_qkv: ["concat(reshape(slice(reshape)))"],
  mla_uk: ["permute(slice(reshape))"],
  mla_uv: ["slice(reshape)"],
  rescale: ["source", "divide-pow2"],
  exp_neg_exp: ["exp-neg-exp"],
};

function compare(architecture: Architecture, config: DerivedConfig): number {
  const ours = new Map(architecture.parameters(config).map(({ name, value }) => [name, ops(value)]));
  for (const { name, verb } of expectedParameters(architecture.key, config)) {
    expect(VERBS[verb], `${name}: ${verb}`).toContain(ours.get(name));
  }
  return compareTables(architecture, config);
}

const workers = (config: DerivedConfig, shards: number): DerivedConfig => ({
  ...config,
  fields: new Map([...config.fields, ["tensor_parallel_shards", shards]]),
});

function member(object: JsonObject, name: string): JsonObject {
  const value: Json | undefined = object.get(name);
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
}

const cases = [...readGolden("cases.json")].map(([id, value]) => ({ id, entry: value as JsonObject }));
const presets = [...readGolden("presets.json")]
  .filter(([name]) => name !== "_about")
  .map(([id, value]) => ({ id, entry: value as JsonObject }));

describe("every architecture", () => {
  it.each(Object.entries(registry))("%s is registered as upstream has it", async (key, wanted) => {
    const found = await architectureOf(key);
    expect(found.key).toBe(key);
    expect(found.configClass).toBe(wanted.config);
    expect(found.modelTask).toBe(wanted.modelTask);
    const metadata = found.embeddingMetadata;
    const spelled = metadata && [metadata.modelType, metadata.poolingStrategy, metadata.normalize];
    expect(spelled ?? null).toEqual(wanted.embeddingMetadata && Object.values(wanted.embeddingMetadata));
  });

  it("has a file, and every file is an architecture", () => {
    expect([...architectureKeys()]).toEqual(Object.keys(registry).sort());
  });
});

describe("the parameter table", () => {
  it.each(cases)("of golden case $id is upstream's", async ({ entry }) => {
    const architecture = await architectureOf(String(entry.get("architecture")));
    const config = architecture.derive(member(entry, "config"));
    expect(compare(architecture, config)).toBeGreaterThan(0);
  });

  it.each(presets)("of preset $id is upstream's", async ({ entry }) => {
    const architecture = await architectureOf(String(entry.get("model_type")));
    const config = architecture.derive(member(entry, "input"));
    expect(compare(architecture, config)).toBeGreaterThan(0);
  });

  it.each(cases.filter(({ id }) => id.startsWith("tp-")))(
    "of $id is upstream's for two workers",
    async ({ entry }) => {
      const architecture = await architectureOf(String(entry.get("architecture")));
      const config = workers(architecture.derive(member(entry, "config")), 2);
      if (architecture.key === "gpt_bigcode") {
        expect(() => architecture.parameters(config)).toThrow("tensor_parallel_shards must be 1");
      } else {
        expect(compare(architecture, config)).toBeGreaterThan(0);
      }
    },
  );
});
