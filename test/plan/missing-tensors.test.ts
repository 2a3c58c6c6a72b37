import { describe, expect, it } from "vitest";
import { isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import { explainMissing, fittingKeys } from "../../src/plan/missing-tensors.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { sourceNames } from "../../src/plan/table.ts";
import { readGolden } from "./reference-tables.ts";

function caseConfig(id: string): JsonObject {
  const entry = readGolden("cases.json").get(id);
  const config = isObject(entry) ? entry.get("config") : undefined;
  if (!isObject(config)) throw new Error(`${id} is missing`);
  return config;
}

async function namesOf(key: string, config: JsonObject): Promise<readonly string[]> {
  const architecture = await architectureOf(key);
  const table = architecture.parameters(architecture.derive(config));
  return table.flatMap((one) => sourceNames(one.value));
}

/** The advice for a checkpoint whose names are those of the table after `change`. */
async function advice(
  key: string,
  config: JsonObject,
  change: (names: readonly string[]) => readonly string[],
) {
  const needed = await namesOf(key, config);
  const derived = (await architectureOf(key)).derive(config);
  return explainMissing({ key, config, derived, needed, names: new Set(change(needed)) });
}

describe("missing tensors", () => {
  it("are explained by another architecture that fits", async () => {
    const config = caseConfig("qwen3-embedding-0");
    const stored = await namesOf("qwen3-embedding", config);
    expect(await advice("qwen3", config, () => stored)).toBe(
      "these names fit qwen3-embedding: name it with --model-type qwen3-embedding",
    );
  });

  it("are explained by a tied head (T14)", async () => {
    const config = new Map<string, Json>([...caseConfig("packing-llama"), ["tie_word_embeddings", false]]);
    const hint = await advice("llama", config, (names) =>
      names.filter((name) => !name.startsWith("lm_head")),
    );
    expect(hint).toContain("tie_word_embeddings");
  });

  it("are explained by a prefix that is too much", async () => {
    const hint = await advice("gpt2", caseConfig("gpt2-0"), (names) =>
      names.map((name) => `transformer.${name}`),
    );
    expect(hint).toContain('begin with "transformer."');
    const config = caseConfig("mistral-0");
    const wrapped = await advice("mistral", config, (names) => names.map((name) => `base.${name}`));
    expect(wrapped).toBe(
      'the checkpoint\'s names begin with "base.", which this architecture does not expect',
    );
  });

  it("are explained by a prefix that is missing (T14)", async () => {
    const config = caseConfig("mistral-0");
    const bare = await advice("mistral", config, (names) =>
      names.map((name) => name.replace(/^model\./, "")),
    );
    expect(bare).toBe('the checkpoint\'s names lack "model.", which this architecture expects');
  });

  it("are explained by layers that are not there", async () => {
    const config = caseConfig("mistral-0");
    const hint = await advice("mistral", config, (names) =>
      names.filter((name) => !/layers\.[1-9]/.test(name)),
    );
    expect(hint).toContain("the checkpoint has 1 layers");
  });

  it("stay unexplained where nothing fits", async () => {
    const hint = await advice("mistral", caseConfig("mistral-0"), () => ["something.else"]);
    expect(hint).toBeUndefined();
  });
});

describe("fitting keys", () => {
  it("put the table first that uses the most names", async () => {
    const config = caseConfig("bert-bge-0");
    const keys = await fittingKeys(new Set(await namesOf("bert-bge", config)), config);
    expect(keys).toEqual(["bert", "bert-bge"]);
  });
});
