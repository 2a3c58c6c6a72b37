import { describe, expect, it } from "vitest";
import { byteLength, type DType, elementCount } from "../../../src/core/dtype.ts";
import { GGUF_MIXTURES, ggufMixtureOf, ggufOrder, ggufTypes } from "../../../src/plan/gguf/mixture.ts";
import { ggufModelOf } from "../../../src/plan/gguf/model.ts";
import { ggufTensors } from "../../../src/plan/gguf/tensors.ts";
import { denseCheckpoint, LLAMA_8B, llamaConfig } from "./model-shapes.ts";
import { jsonObject } from "./tokenizer-folder.ts";

const model = ggufModelOf(jsonObject(llamaConfig(LLAMA_8B)));
const tensors = ggufOrder(ggufTensors(model, denseCheckpoint(LLAMA_8B)));

/** Gigabytes and bits per weight of an 8.03 billion parameter model, as measured on real files. */
const SIZES: readonly (readonly [string, number, number])[] = [
  ["Q2_K", 3.17, 3.16],
  ["Q3_K_S", 3.66, 3.64],
  ["Q3_K_M", 4.01, 4.0],
  ["Q3_K_L", 4.31, 4.3],
  ["IQ4_XS", 4.48, 4.46],
  ["Q4_0", 4.65, 4.64],
  ["Q4_K_S", 4.68, 4.67],
  ["IQ4_NL", 4.7, 4.68],
  ["Q4_K_M", 4.91, 4.89],
  ["Q4_1", 5.12, 5.1],
  ["Q5_0", 5.59, 5.57],
  ["Q5_K_S", 5.59, 5.57],
  ["Q5_K_M", 5.73, 5.7],
  ["Q5_1", 6.06, 6.04],
  ["Q6_K", 6.59, 6.56],
  ["Q8_0", 8.53, 8.5],
];

function typesOf(name: string): ReadonlyMap<string, DType> {
  const types = ggufTypes(tensors, ggufMixtureOf(name), model);
  return new Map(tensors.map((tensor, i) => [tensor.name, types[i] ?? expect.fail()]));
}

describe("GGUF mixtures", () => {
  it.each(SIZES)("make %s of an 8B model %d GB", (name, gigabytes, bits) => {
    const types = typesOf(name);
    let bytes = 0;
    let elements = 0;
    for (const tensor of tensors) {
      const count = elementCount(tensor.shape);
      elements += count;
      bytes += byteLength(types.get(tensor.name) ?? "float32", count) ?? expect.fail();
    }
    // File sizes include a header of some megabytes.
    expect(Math.abs(bytes / 1e9 - gigabytes)).toBeLessThan(0.016);
    expect(Math.abs((bytes * 8) / elements - bits)).toBeLessThan(0.016);
  });

  it("give the first, last and every third layer of Q4_K_M more bits", () => {
    const types = typesOf("Q4_K_M");
    const raised = [...types].filter(([name, type]) => name.includes("ffn_down") && type === "q6_K");
    expect(raised.map(([name]) => Number(name.split(".")[1]))).toEqual([
      0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31,
    ]);
    expect(types.get("token_embd.weight")).toBe("q4_K");
    expect(types.get("output.weight")).toBe("q6_K");
    expect(types.get("blk.9.attn_norm.weight")).toBe("float32");
  });

  it("visit layers by number, not by name", () => {
    const names = ["blk.10.a", "output.weight", "blk.2.b", "blk.2.a", "a"].map((name) => ({
      name,
      shape: [1],
    }));
    expect(ggufOrder(names).map(({ name }) => name)).toEqual([
      "a",
      "output.weight",
      "blk.2.a",
      "blk.2.b",
      "blk.10.a",
    ]);
  });

  it("treat models of eight experts and of 80 layers with care", () => {
    const named = ["attn_k", "attn_output", "attn_v", "ffn_down"].map((name) => ({
      name: `blk.0.${name}.weight`,
      shape: [256, 256],
    }));
    const types = (extra: object): readonly DType[] =>
      ggufTypes(named, ggufMixtureOf("Q4_K_S"), { ...model, layers: 8, ...extra });
    expect(types({ experts: 8 })).toEqual(["q8_0", "q5_K", "q8_0", "q5_K"]);
    expect(types({ experts: 0 })).toEqual(["q4_K", "q4_K", "q5_K", "q5_K"]);
    const q3 = ggufTypes(named, ggufMixtureOf("Q3_K_S"), { ...model, layers: 80, experts: 0 });
    expect(q3).toEqual(["q3_K", "q3_K", "q5_K", "q3_K"]);
  });

  it("fall back to smaller blocks, then to float16, where rows do not fill them", () => {
    const row = (size: number, mixture: string): DType | undefined =>
      ggufTypes([{ name: "blk.0.attn_q.weight", shape: [4, size] }], ggufMixtureOf(mixture), model)[0];
    const expected = { Q2_K: "q4_0", Q4_K_M: "q5_0", Q5_K_M: "q5_1", Q6_K: "q8_0", IQ4_XS: "iq4_nl" };
    for (const [mixture, type] of Object.entries(expected)) {
      expect(row(320, mixture)).toBe(type);
      expect(row(40, mixture)).toBe("float16");
      expect(row(512, mixture)).toBe(ggufMixtureOf(mixture).type);
    }
    expect(GGUF_MIXTURES.filter(({ name }) => row(33, name) === undefined)).toEqual([]);
  });
});
