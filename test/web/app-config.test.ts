import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isObject, parseJson } from "../../src/core/json.ts";
import type { WebInput } from "../../src/web/app-config.ts";
import { planWebApp } from "../../src/web/app-config.ts";
import { readShape } from "../../src/web/choose-library.ts";
import { readIntegrityManifest, toModelIntegrity } from "../../src/web/integrity-manifest.ts";
import type { LibraryFamily, LibraryNeed, ModelShape } from "../../src/web/library-family.ts";
import { parseBuild } from "../../src/web/library-family.ts";
import { LIBRARY_FAMILIES } from "../../src/web/library-table.ts";
import type { ModelDirectory } from "../../src/web/model-directory.ts";
import { openModelDirectory } from "../../src/web/model-directory.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { flipByte, writeModel } from "./model-fixture.ts";

const golden = (name: string): string =>
  readFileSync(new URL(`../golden/web/${name}`, import.meta.url), "utf8");
type PublishedRow = [id: string, library: string, vram: number, low: boolean | null, context: number | null];
const PUBLISHED = JSON.parse(golden("webllm-models.json")) as PublishedRow[];
const PRESETS = JSON.parse(golden("presets.json")) as Record<string, Record<string, unknown>>;

/** A converted preset, as far as the choice of a library looks at it. */
function directoryOf(preset: string, changes: Readonly<Record<string, unknown>> = {}): ModelDirectory {
  const facts = PRESETS[preset];
  if (!facts) throw new Error(`no preset ${preset}`);
  const config = parseJson(
    JSON.stringify({ quantization: "q4f16_1", model_task: "chat", ...facts, ...changes }),
  );
  if (!isObject(config)) throw new Error("no object");
  const tokenizerNames = ["tokenizer.json"];
  return {
    path: "",
    config,
    indexName: "tensor-cache.json",
    paramBytes: 695e6,
    shardNames: [],
    tokenizerNames,
  };
}

function plan(preset: string, changes: Readonly<Record<string, unknown>> = {}, more: Partial<WebInput> = {}) {
  const modelUrl = "https://example.org/model";
  return planWebApp({ directory: directoryOf(preset, changes), modelId: preset, modelUrl, ...more });
}

describe("the list of libraries", () => {
  it("has exactly the files that WebLLM's list names", () => {
    const ours = LIBRARY_FAMILIES.flatMap(({ name, builds }) =>
      builds.map((build) => `${name}-${build.split(" ")[0]}-webgpu.wasm`),
    );
    const theirs = new Set(PUBLISHED.map(([, library]) => library));
    expect(ours.sort()).toEqual([...theirs].sort());
    expect(ours).toHaveLength(97);
  });

  it("says of every family where its sizes come from: a published configuration, or not", () => {
    const shapes = Object.values(PRESETS).map((facts) =>
      readShape(parseJson(JSON.stringify(facts.model_config))),
    );
    const confirmed = ({ shape }: LibraryFamily) =>
      shapes.some((found) =>
        (Object.keys(shape) as (keyof ModelShape)[]).every((key) => shape[key] === found[key]),
      );
    const stated = LIBRARY_FAMILIES.filter(
      ({ inferred, shape }) => !inferred && Object.keys(shape).length > 0,
    );
    expect(stated.length).toBeGreaterThan(30);
    expect(stated.filter((family) => !confirmed(family)).map(({ name }) => name)).toEqual([]);
    expect(LIBRARY_FAMILIES.filter(({ inferred }) => inferred)).toHaveLength(7);
  });

  it("asks for no less memory than WebLLM's list does for any model", () => {
    const needs: ReadonlyMap<string, readonly LibraryNeed[]> = new Map(
      LIBRARY_FAMILIES.flatMap(({ name, builds }) =>
        builds.map(
          (build) => [`${name}-${build.split(" ")[0]}-webgpu.wasm`, parseBuild(build).needs] as const,
        ),
      ),
    );
    for (const [id, library, vram, , context] of PUBLISHED) {
      const need = needs.get(library)?.find(([window]) => window === (context ?? 512));
      expect(need?.[1], id).toBeGreaterThanOrEqual(vram);
    }
  });
});

describe("the entry for WebLLM", () => {
  const library = (name: string): string => `${name}_cs1k-webgpu.wasm`;
  for (const [preset, file] of [
    ["llama2_7b", library("Llama-2-7b-chat-hf-q4f16_1")],
    ["llama3_1_8b", library("Llama-3_1-8B-Instruct-q4f16_1")],
    ["llama3_2_1b", library("Llama-3.2-1B-Instruct-q4f16_1")],
    ["llama3_2_3b", library("Llama-3.2-3B-Instruct-q4f16_1")],
    ["qwen2_0_5b", library("Qwen2-0.5B-Instruct-q4f16_1")],
    ["qwen2_1_5b", library("Qwen2-1.5B-Instruct-q4f16_1")],
    ["qwen2.5_3b", library("Qwen2.5-3B-Instruct-q4f16_1")],
    ["qwen2_7b", library("Qwen2-7B-Instruct-q4f16_1")],
    ["qwen3_0.6b", library("Qwen3-0.6B-q4f16_1")],
    ["qwen3_1.7b", library("Qwen3-1.7B-q4f16_1")],
    ["phi-3_5", library("Phi-3.5-mini-instruct-q4f16_1")],
    ["phi-3_5-vision", "Phi-3.5-vision-instruct-q4f16_1_cs2k-webgpu.wasm"],
    ["phi-4", library("Phi-4-mini-instruct-q4f16_1")],
    ["phi-2", library("phi-2-q4f16_1")],
    ["phi-1_5", library("phi-1_5-q4f16_1")],
    ["mistral_7b_v03", library("Mistral-7B-Instruct-v0.3-q4f16_1")],
    ["gemma_2b", library("gemma-2b-it-q4f16_1")],
    ["gemma2_2b", library("gemma-2-2b-it-q4f16_1")],
    ["gemma2_9b", library("gemma-2-9b-it-q4f16_1")],
    ["gemma3_1b_it", library("gemma3-1b-it-q4f16_1")],
    ["olmo2_7b", library("OLMo-2-1124-7B-Instruct-q4f16_1")],
    ["stablelm-2-zephyr-1_6b", library("stablelm-2-zephyr-1_6b-q4f16_1")],
    ["redpajama_3b_v1", library("RedPajama-INCITE-Chat-3B-v1-q4f16_1")],
    ["tinyllama_1b_chat_v1.0", library("TinyLlama-1.1B-Chat-v1.0-q4f16_1")],
    ["smollm2_360m", library("SmolLM2-360M-Instruct-q4f16_1")],
    ["smollm_1_7b", library("SmolLM2-1.7B-Instruct-q4f16_1")],
  ] as const) {
    it(`names ${file} for ${preset}`, () => {
      expect(plan(preset).record?.model_lib).toMatch(/^https:.*v0_2_83\/base\//);
      expect(plan(preset).record?.model_lib.split("/").at(-1)).toBe(file);
    });
  }

  it("says what the model takes and which features it needs", () => {
    expect(plan("llama3_2_1b").record).toEqual({
      model: "https://example.org/model",
      model_id: "llama3_2_1b",
      model_lib: expect.stringContaining("Llama-3.2-1B"),
      vram_required_MB: 879.04,
      low_resource_required: true,
      required_features: ["shader-f16"],
      overrides: { context_window_size: 4096 },
    });
    expect(plan("llama3_2_1b", { quantization: "q4f32_1" }).record).not.toHaveProperty("required_features");
  });

  it("goes by the name where sizes are the same or not known", () => {
    const named = (preset: string, modelName: string, changes = {}) =>
      plan(preset, changes, { modelName }).record?.model_lib;
    expect(named("ministral3_3b_2512", "mistralai/Ministral-3-3B-Reasoning-2512")).toContain("Reasoning");
    expect(named("gemma2_2b", "google/gemma-2-2b-jpn-it")).toContain("jpn");
    expect(named("llama2_7b", "Qwen/Qwen3.5-4B", { model_type: "qwen3_5" })).toContain("Qwen3.5-4B");
  });

  it("says when it goes by less than published sizes", () => {
    const { model_config } = PRESETS.llama3_1_8b as { model_config: object };
    const older = plan("llama3_1_8b", { model_config: { ...model_config, rope_scaling: null } });
    expect(older.record?.model_lib).toContain("Llama-3-8B");
    expect(older.notices.join("\n")).toContain("Llama-3-8B-Instruct was compiled for are inferred");
    const byName = plan("llama2_7b", { model_type: "qwen3_5" }, { modelName: "Qwen/Qwen3.5-4B" });
    expect(byName.notices.join("\n")).toContain("chosen by the model's name alone");
  });

  it("takes the entry for a smaller context when that is wanted", () => {
    const { record } = plan("llama3_1_8b", {}, { contextWindowSize: 1024 });
    expect(record).toMatchObject({ vram_required_MB: 4598.34, low_resource_required: true });
    expect(record?.overrides).toEqual({ context_window_size: 1024 });
  });

  it("switches a sliding window off, which WebLLM cannot have beside a context window", () => {
    const { record, notices } = plan("gemma3_1b_it");
    expect(record?.overrides).toEqual({ context_window_size: 4096, sliding_window_size: -1 });
    expect(notices).toEqual(["Both window sizes are set; the entry switches the sliding window off."]);
  });

  it("marks embedding and vision models and takes the batch that the model was made for", () => {
    const embedding = { quantization: "q0f32", model_task: "embedding" };
    const { record } = plan("snowflake-arctic-embed-m", embedding);
    expect(record).toMatchObject({ model_type: 1, vram_required_MB: 1407.51 });
    expect(record?.model_lib).toContain("batch32");
    expect(record).not.toHaveProperty("overrides");
    expect(plan("phi-3_5-vision").record?.model_type).toBe(2);
  });

  for (const [why, preset, changes, words] of [
    ["architecture", "rwkv5_3b", {}, "no published library is for the architecture rwkv5"],
    [
      "size",
      "llama2_7b",
      { model_config: { hidden_size: 8000, num_hidden_layers: 80 } },
      "no published library for llama has these sizes: hidden size 8000, 80 layers",
    ],
    [
      "quantization",
      "llama3_2_1b",
      { quantization: "q3f16_1" },
      "published for q4f32_1, q4f16_1, q0f32, q0f16, not for q3f16_1",
    ],
    ["number of devices", "llama3_2_1b", { tensor_parallel_shards: 2 }, "a browser has one"],
  ] as const) {
    it(`says plainly when no library fits the ${why}`, () => {
      const { record, notices } = plan(preset, changes);
      expect(record).toBeUndefined();
      expect(notices.join("\n")).toContain(words);
      expect(notices.join("\n")).toContain("--model-lib");
    });
  }

  it("warns when rotary positions have another base than the library", () => {
    const modelConfig = { ...(PRESETS.llama2_7b?.model_config as object), position_embedding_base: 1000000 };
    const { record, notices } = plan("llama2_7b", { model_config: modelConfig });
    expect(record?.model_lib).toContain("Llama-2-7b");
    expect(notices).toEqual([
      "Llama-2-7b-chat-hf was, as far as is known, compiled for rotary base 10000, the model has 1000000; its text may be poor.",
    ]);
  });

  it("estimates memory for a library of the user's own", () => {
    const { record } = plan("llama3_2_1b", {}, { modelLib: "https://example.org/own.wasm" });
    expect(record?.model_lib).toBe("https://example.org/own.wasm");
    expect(record?.vram_required_MB).toBeGreaterThan(695);
    expect(record?.vram_required_MB).toBeLessThan(1000);
  });
});

describe("the integrity manifest", () => {
  it("has a hash for every file a browser fetches, and changes with any of them", async () => {
    const folder = await writeModel(await tempFolder());
    const directory = await openModelDirectory(folder);
    const before = await readIntegrityManifest(directory);
    const names = [
      "mlc-chat-config.json",
      "tokenizer.json",
      "tensor-cache.json",
      "params_shard_0.bin",
      "params_shard_1.bin",
    ];
    expect(Object.keys(before.files)).toEqual(names);
    for (const name of names) {
      await flipByte(`${folder}/${name}`);
      const after = await readIntegrityManifest(directory);
      expect(after.files[name]?.integrity, name).not.toBe(before.files[name]?.integrity);
      await flipByte(`${folder}/${name}`);
    }
    expect(await readIntegrityManifest(directory)).toEqual(before);
    expect(toModelIntegrity(before)).toEqual({
      config: before.files["mlc-chat-config.json"]?.integrity,
      tokenizer: { "tokenizer.json": before.files["tokenizer.json"]?.integrity },
      onFailure: "error",
    });
    expect(before.files["params_shard_0.bin"]?.integrity).toMatch(/^sha256-[A-Za-z0-9+/]{43}=$/);
  });

  it("refuses a name that leaves the folder", async () => {
    const folder = await writeModel(await tempFolder(), { tokenizer_files: ["../tokenizer.json"] });
    await expect(openModelDirectory(folder)).rejects.toMatchObject({ code: "E_MODEL_DIRECTORY" });
  });
});
