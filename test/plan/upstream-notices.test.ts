import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { planConversion } from "../../src/plan-conversion.ts";
import { buildGoldenCase, GOLDEN_CASES, type GoldenCase, readGoldenCase } from "../support/golden-case.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** Stores one tensor of the first layer in another half precision than its neighbours. */
const mixed = (golden: GoldenCase): GoldenCase => ({
  ...golden,
  files: golden.files.map(({ name, tensors }) => ({
    name,
    tensors: tensors.map(([tensor, dtype, shape]) => {
      const other = dtype === "F16" ? "BF16" : "F16";
      return [tensor, tensor.endsWith("layers.0.self_attn.k_proj.weight") ? other : dtype, shape] as const;
    }),
  })),
});

const FIRST_FOUR = /\.experts\.([0-3])\./;
const fourOn = (name: string): string =>
  name.replace(FIRST_FOUR, (_, expert) => `.experts.${Number(expert) + 4}.`);

/** Twice as many experts as the case's four. */
const doubled = (golden: GoldenCase): GoldenCase => ({
  ...golden,
  config: { ...golden.config, num_local_experts: 8 },
  weightMap: golden.weightMap.flatMap(([name, file]) =>
    FIRST_FOUR.test(name) ? [[name, file] as const, [fourOn(name), file] as const] : [[name, file] as const],
  ),
  files: golden.files.map(({ name, tensors }) => ({
    name,
    tensors: tensors.flatMap(([tensor, dtype, shape]) => {
      if (tensor.endsWith(".gate.weight")) return [[tensor, dtype, [8, shape[1] as number]] as const];
      const one = [tensor, dtype, shape] as const;
      return FIRST_FOUR.test(tensor) ? [one, [fourOn(tensor), dtype, shape] as const] : [one];
    }),
  })),
});

const CHANGES = {
  "as it is": (golden: GoldenCase) => golden,
  "mixed halves": mixed,
  "eight experts": doubled,
};

/** What is told of a recorded case, after a change to it. */
async function noticesOf(
  id: string,
  quantization: string,
  change: keyof typeof CHANGES = "as it is",
  preshard = 1,
) {
  const golden = CHANGES[change](await readGoldenCase(new URL(`${id}.json`, GOLDEN_CASES)));
  const model = join(await tempFolder(), "model");
  await mkdir(model);
  await buildGoldenCase(golden, model);
  // Volta's layout takes the small shapes of the recorded cases.
  const modelType = golden.architecture;
  const { plan } = await planConversion({ model, quantization, modelType, ftArch: 70, preshard });
  return plan.notices;
}

describe("a result without a counterpart of upstream's", () => {
  it.each([
    ["gptj-0", "q4f16_1", "as it is", "upstream cannot convert gptj"],
    ["rwkv5-0", "q4f16_1", "as it is", "rounded correctly"],
    ["rwkv6-0", "q0f16", "as it is", undefined],
    ["llama-0", "e4m3_e4m3_f16", "as it is", "it is 1 here"],
    ["llama-0", "e4m3_e4m3_f16_max_calibrate", "as it is", undefined],
    ["llama-0", "q4f16_1", "mixed halves", "each cast by itself"],
    ["llama-0", "q4f16_1", "as it is", undefined],
    ["mixtral-0", "q4f16_1", "as it is", undefined],
    ["mixtral-0", "q4f16_ft", "as it is", undefined],
    ["mixtral-0", "q4f16_ft", "eight experts", "stay in float16"],
    ["phi3_v-0", "q4f16_ft", "as it is", "the vision tower"],
  ] as const)("is told of: %s to %s, %s", async (id, quantization, change, words) => {
    const told = words === undefined ? [] : [expect.stringContaining(words)];
    expect(await noticesOf(id, quantization, change)).toEqual(told);
  });
});

describe("a model that is cut for several workers", () => {
  it.each([
    ["rwkv6-0", [expect.stringContaining("nothing of rwkv6 is cut")]],
    ["medusa-0", [expect.stringContaining("nothing of medusa is cut")]],
    ["tp-llama", []],
    ["tp-chatglm", [expect.stringContaining("cut as one block")]],
  ] as const)("is told of where it is not cut as it should be: %s", async (id, told) => {
    expect(await noticesOf(id, "q0f16", "as it is", 2)).toEqual(told);
    expect(await noticesOf(id, "q0f16")).toEqual([]);
  });
});
