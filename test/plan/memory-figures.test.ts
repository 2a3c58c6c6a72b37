import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isObject, parseJson } from "../../src/core/json.ts";
import type { MemoryFigures } from "../../src/plan/gguf/memory-figures.ts";
import { memoryFigures } from "../../src/plan/memory-figures.ts";
import { architectureOf } from "../../src/plan/registry.ts";

/** The figures of a recorded case's config. */
async function figures(name: string): Promise<MemoryFigures> {
  const file = new URL(`../golden/cases/${name}.json`, import.meta.url);
  const recorded = parseJson(readFileSync(file, "utf8"), { duplicates: "last-wins" });
  const [key, config] = isObject(recorded) ? [recorded.get("architecture"), recorded.get("config")] : [];
  if (typeof key !== "string" || !isObject(config)) throw new Error(`${name} is no case`);
  return memoryFigures(await architectureOf(key), config);
}

describe("what the runtime's key-value cache is made of", () => {
  it.each([
    ["llama-0", { layers: 3, heads: 6, kvHeads: 2, keyLength: 20, contextLimit: 512 }],
    ["gpt2-0", { layers: 2, heads: 6, kvHeads: 6, keyLength: 16, contextLimit: 64 }],
    ["gpt_bigcode-0", { heads: 6, kvHeads: 1, keyLength: 16 }],
    ["chatglm-bias", { heads: 6, kvHeads: 2, keyLength: 16 }],
    ["llama4-0", { heads: 6, kvHeads: 2, keyLength: 20 }],
  ])("is read whatever the fields are called: %s", async (name, expected) => {
    expect(await figures(name)).toMatchObject(expected);
  });

  it("is one latent vector a token where attention is latent", async () => {
    expect(await figures("deepseek_v3-0")).toMatchObject({ kvHeads: 1, valueLength: 0 });
  });

  it("has one window for all layers, or none", async () => {
    const { layers, sliding, contextLimit } = await figures("gemma3_text-0");
    expect(sliding).toEqual({ layers, window: 256 });
    expect(contextLimit).toBe(8192);
    expect((await figures("gemma2-0")).sliding).toBeUndefined();
  });

  it("is refused where there is none", async () => {
    await expect(figures("rwkv6-norescale")).rejects.toMatchObject({ code: "E_NO_CACHE_SHAPE" });
  });
});
