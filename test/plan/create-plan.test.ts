import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { MlcConvertError } from "../../src/core/errors.ts";
import { DEMO_SIZES, llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";
import type { SyntheticTensor } from "../../src/demo/synthetic-tensor.ts";
import { planConversion } from "../../src/plan-conversion.ts";
import type { ConversionRequest } from "../../src/plan-model.ts";
import { failureOf } from "../support/failure-of.ts";
import { tempFolder } from "../support/temp-folder.ts";

const SIZES = { ...DEMO_SIZES, layers: 1, vocabSize: 256 };

interface Changes {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tensors?: (tensors: readonly SyntheticTensor[]) => readonly SyntheticTensor[];
  readonly request?: Partial<ConversionRequest>;
}

/** Plans a llama of one layer after some changes to it. */
async function planOf({ config = {}, tensors = (all) => all, request = {} }: Changes) {
  const model = join(await tempFolder(), "model");
  await mkdir(model);
  const whole = llamaCheckpoint(SIZES);
  const list = tensors(whole.files[0]?.tensors ?? []);
  await writeSyntheticCheckpoint(model, { files: [{ name: "model.safetensors", tensors: list }] });
  await writeFile(join(model, "config.json"), JSON.stringify({ ...(whole.config as object), ...config }));
  return planConversion({ model, quantization: "q4f16_1", ...request });
}

const refusalOf = (changes: Changes): Promise<MlcConvertError> => failureOf(() => planOf(changes));
const without = (end: string) => (all: readonly SyntheticTensor[]) =>
  all.filter(({ name }) => !name.endsWith(end));
const changed = (end: string, change: Partial<SyntheticTensor>) => (all: readonly SyntheticTensor[]) =>
  all.map((tensor) => (tensor.name.endsWith(end) ? { ...tensor, ...change } : tensor));
const added =
  (name: string, dtype: SyntheticTensor["dtype"] = "BF16") =>
  (all: readonly SyntheticTensor[]) => [...all, { name, dtype, shape: [4] }];

describe("a plan", () => {
  it("follows the order of the file, words before their scales", async () => {
    const { plan } = await planOf({});
    const names = plan.tensors.map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(["model.embed_tokens.q_weight", "model.embed_tokens.q_scale"]);
    expect(names.at(-1)).toBe("model.norm.weight");
    expect(names.indexOf("model.layers.0.mlp.gate_up_proj.q_scale")).toBe(
      names.indexOf("model.layers.0.mlp.gate_up_proj.q_weight") + 1,
    );
    expect(plan.metadata.paramSize).toBe(names.length);
  });

  it("tells of a byte order mark before config.json", async () => {
    const { model } = await planOf({});
    const config = join(model.folder as string, "config.json");
    await writeFile(config, `\ufeff${await readFile(config, "utf8")}`);
    const { plan } = await planConversion({ model: model.folder as string, quantization: "q4f16_1" });
    expect(plan.notices).toEqual(["config.json begins with a byte order mark, which was ignored."]);
  });

  it("lists tensors that nothing needs, and refuses scales among them", async () => {
    const { plan } = await planOf({ tensors: added("model.extra.weight") });
    expect(plan.unused).toEqual(["model.extra.weight"]);
    const error = await refusalOf({ tensors: added("model.layers.0.mlp.down_proj.weight_scale", "F32") });
    expect(error).toMatchObject({ name: "PlanError", code: "E_UNUSED_SCALES" });
    expect(error.message).toContain("model.layers.0.mlp.down_proj.weight_scale");
  });

  it("counts a file again that has to be loaded again, as the reference converter does", async () => {
    const model = join(await tempFolder(), "model");
    await mkdir(model);
    const whole = llamaCheckpoint(SIZES);
    const all = whole.files[0]?.tensors ?? [];
    const late = (name: string): boolean => /k_proj|up_proj/.test(name);
    const files = [
      { name: "a.safetensors", tensors: all.filter(({ name }) => !late(name)) },
      { name: "b.safetensors", tensors: all.filter(({ name }) => late(name)) },
    ];
    const weightMap = all.map(({ name }) => [name, late(name) ? "b.safetensors" : "a.safetensors"] as const);
    await writeSyntheticCheckpoint(model, { files, weightMap, config: whole.config });
    const { plan } = await planConversion({ model, quantization: "q4f16_1" });
    const { paramBytes, bitsPerParam, sourceParameters } = plan.metadata;
    const elements = all.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(sourceParameters).toBe(elements);
    expect((paramBytes * 8) / bitsPerParam).toBeGreaterThanOrEqual(elements);
  });
});

describe("planning refuses, before a weight is read,", () => {
  it.each<[string, Changes, string, RegExp]>([
    [
      "a missing tensor",
      { tensors: without("up_proj.weight") },
      "E_MISSING_TENSORS",
      /lacks 1 tensor:\n {2}model\.layers\.0\.mlp\.up_proj\.weight/,
    ],
    [
      "an output layer that is not tied and not there",
      { config: { tie_word_embeddings: false } },
      "E_MISSING_TENSORS",
      /lm_head\.weight/,
    ],
    [
      "another shape than config.json asks for",
      { tensors: changed("o_proj.weight", { shape: [256, 128] }) },
      "E_SHAPE",
      /o_proj\.weight: expected \[256, 256\], found \[256, 128\] from .* in model\.safetensors/,
    ],
    [
      "weights that are integers",
      { tensors: changed("o_proj.weight", { dtype: "I32" }) },
      "E_DTYPE",
      /expected float16, found int32/,
    ],
    [
      "fp8 joined with another dtype",
      { tensors: changed("up_proj.weight", { dtype: "F8_E4M3" }) },
      "E_DTYPE",
      /mixes float8_e4m3fn with other dtypes/,
    ],
    [
      "a checkpoint that is already quantized",
      { config: { quantization_config: { quant_method: "gptq" } } },
      "E_ALREADY_QUANTIZED",
      /"gptq"/,
    ],
    [
      "a quantization that nobody knows",
      { request: { quantization: "q4f16_9" } },
      "E_UNKNOWN_QUANTIZATION",
      /q4f16_9/,
    ],
    [
      "a cut of transposed weights",
      { request: { quantization: "q4f16_0", preshard: 2 } },
      "E_PRESHARD",
      /stores weights transposed/,
    ],
    [
      "a cut of FasterTransformer's layout",
      { request: { quantization: "q4f16_ft", preshard: 2 } },
      "E_PRESHARD",
      /does not support pre-sharding/,
    ],
    ["weight files without a tensor", { tensors: () => [] }, "E_EMPTY_CHECKPOINT", /model\.safetensors/],
  ])("%s", async (_, changes, code, message) => {
    const error = await refusalOf(changes);
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
  });

  it("all problems of one kind together", async () => {
    const error = await refusalOf({ tensors: without("proj.weight") });
    expect(error.message).toMatch(/lacks 7 tensors/);
  });
});

describe("presharding", () => {
  it("cuts every weight that has a strategy, and keeps the others whole", async () => {
    const { plan } = await planOf({ request: { preshard: 2 } });
    const names = plan.tensors.map(({ name }) => name);
    expect(names).toContain("model.layers.0.self_attn.qkv_proj.q_weight_shard-0");
    expect(names).toContain("model.layers.0.self_attn.qkv_proj.q_weight_shard-1");
    expect(names).toContain("model.norm.weight");
    const shape = (name: string) => plan.tensors.find((tensor) => tensor.name === name)?.shape;
    const whole = await planOf({});
    const wholeShape = whole.plan.tensors.find(({ name }) => name.endsWith("qkv_proj.q_weight"))?.shape;
    expect(shape("model.layers.0.self_attn.qkv_proj.q_weight_shard-0")).toEqual([
      (wholeShape?.[0] ?? 0) / 2,
      wholeShape?.[1],
    ]);
  });
});
