import { describe, expect, it } from "vitest";
import type { DType } from "../../../src/core/dtype.ts";
import { ggufMemoryFigures } from "../../../src/plan/gguf/memory-figures.ts";
import { ggufMixtureOf } from "../../../src/plan/gguf/mixture.ts";
import { ggufModelOf } from "../../../src/plan/gguf/model.ts";
import { type GgufPlan, planGguf } from "../../../src/plan/gguf/plan.ts";
import { toyModel } from "../../native/toy-models.ts";
import { jsonObject, tokenizerFiles } from "./tokenizer-folder.ts";

/** Plans the toy model of a family that no recorded conversion covers. */
function plan(family: string, more: Readonly<Record<string, unknown>> = {}): GgufPlan {
  const { config, tensors, tokenizer } = toyModel(family, 512);
  const dtype: DType = "bfloat16";
  return planGguf({
    files: tokenizerFiles(tokenizer, jsonObject({ ...config, ...more })),
    sources: { tensors: new Map(tensors.map(({ name, shape }) => [name, { shape, dtype }])) },
    mixture: ggufMixtureOf("F16"),
    name: "Toy",
  });
}

/** Values of the keys of the architecture, by their short names. */
function keys({ metadata }: GgufPlan): Readonly<Record<string, unknown>> {
  const architecture = metadata.get("general.architecture");
  const prefix = `${architecture?.type === "str" ? architecture.value : ""}.`;
  return Object.fromEntries(
    [...metadata].flatMap(([key, value]) =>
      key.startsWith(prefix)
        ? [[key.slice(prefix.length), "value" in value ? value.value : value.values]]
        : [],
    ),
  );
}

const blockNames = ({ tensors }: GgufPlan): readonly string[] =>
  tensors.flatMap(({ name }) => (name.startsWith("blk.0.") ? [name.slice("blk.0.".length)] : [])).sort();

const DENSE = [
  "attn_k",
  "attn_norm",
  "attn_output",
  "attn_q",
  "attn_v",
  "ffn_down",
  "ffn_gate",
  "ffn_norm",
  "ffn_up",
];
const HEAD_NORMS = ["attn_k_norm", "attn_q_norm"];
const SANDWICH = ["post_attention_norm", "post_ffw_norm"];
const EXPERTS = ["ffn_down_exps", "ffn_gate_exps", "ffn_gate_inp", "ffn_up_exps"];
const without = (names: readonly string[], prefix: RegExp): readonly string[] =>
  names.filter((name) => !prefix.test(name));

describe("the GGUF plan of a family", () => {
  it.each([
    ["mistral", "llama", DENSE],
    ["qwen3", "qwen3", [...DENSE, ...HEAD_NORMS]],
    ["qwen3_moe", "qwen3moe", [...without(DENSE, /^ffn_(down|gate|up)/), ...HEAD_NORMS, ...EXPERTS]],
    ["gemma", "gemma", DENSE],
    ["gemma3_text", "gemma3", [...DENSE, ...HEAD_NORMS, ...SANDWICH]],
  ])("has the tensors of its architecture: %s", (family, architecture, names) => {
    const planned = plan(family);
    expect(planned.metadata.get("general.architecture")).toEqual({ type: "str", value: architecture });
    expect(blockNames(planned)).toEqual(names.map((name) => `${name}.weight`).sort());
    const outer = planned.tensors.map(({ name }) => name).filter((name) => !name.startsWith("blk."));
    const tied = family.startsWith("gemma");
    expect(outer.sort()).toEqual([
      ...(tied ? [] : ["output.weight"]),
      "output_norm.weight",
      "token_embd.weight",
    ]);
  });

  it("turns neighbouring rows of Mistral's heads, and leaves Qwen's and Gemma's as they are", () => {
    const op = (family: string) => {
      const query = plan(family).tensors.find(({ name }) => name === "blk.0.attn_q.weight");
      return query && "value" in query ? query.value.op : undefined;
    };
    expect(["mistral", "qwen3", "qwen3_moe", "gemma", "gemma3_text"].map(op)).toEqual([
      "reshape",
      "source",
      "source",
      "source",
      "source",
    ]);
  });

  it("adds one to all of Gemma 3's norms, those of the heads included, and to nobody else's", () => {
    const added = (family: string): readonly string[] =>
      plan(family).tensors.flatMap((tensor) =>
        "value" in tensor && tensor.value.op === "add1" ? [tensor.name] : [],
      );
    expect(added("qwen3")).toEqual([]);
    expect(added("gemma")).toContain("output_norm.weight");
    const norms = ["attn_q_norm", "attn_k_norm", "ffn_norm", "post_ffw_norm"].map(
      (name) => `blk.1.${name}.weight`,
    );
    expect(added("gemma3_text")).toEqual(expect.arrayContaining(norms));
  });

  it("stacks experts into three dimensions", () => {
    const planned = plan("qwen3_moe");
    const shapes = new Map(planned.tensors.map(({ name, shape }) => [name, shape]));
    expect(shapes.get("blk.0.ffn_gate_exps.weight")).toEqual([4, 512, 256]);
    expect(shapes.get("blk.0.ffn_down_exps.weight")).toEqual([4, 256, 512]);
    expect(keys(planned)).toMatchObject({
      expert_count: 4,
      expert_used_count: 2,
      expert_feed_forward_length: 512,
      "attention.key_length": 32,
    });
  });

  it("says of Gemma 3 which layers slide and how both kinds turn", () => {
    expect(keys(plan("gemma3_text"))).toMatchObject({
      "attention.sliding_window": 16,
      "rope.freq_base": 1e6,
      "rope.freq_base_swa": 1e4,
    });
    expect(keys(plan("gemma3_text"))).not.toHaveProperty("attention.sliding_window_pattern");
    expect(keys(plan("gemma3_text", { sliding_window_pattern: 3 }))).toMatchObject({
      "attention.sliding_window_pattern": 3,
    });
  });

  it("writes no window for Mistral and Qwen 3, and no rotary base that gemma's loaders assume", () => {
    for (const family of ["mistral", "qwen3"])
      expect(keys(plan(family, { sliding_window: 4096 }))).not.toHaveProperty("attention.sliding_window");
    expect(keys(plan("gemma"))).not.toHaveProperty("rope.freq_base");
  });
});

describe("the memory figures of a family", () => {
  const figures = (family: string, more: Readonly<Record<string, unknown>> = {}) =>
    ggufMemoryFigures(ggufModelOf(jsonObject({ ...toyModel(family, 512).config, ...more })));

  it.each([
    ["gemma3_text", { num_hidden_layers: 26 }, { layers: 22, window: 16 }],
    ["gemma3_text", { num_hidden_layers: 6, sliding_window_pattern: 3 }, { layers: 4, window: 16 }],
    ["gemma2", { num_hidden_layers: 42 }, { layers: 21, window: 16 }],
    ["gemma2", { layer_types: ["sliding_attention", "full_attention"] }, { layers: 1, window: 16 }],
    ["mistral", { sliding_window: 4096 }, undefined],
  ])("count the sliding layers that the engine knows of: %s %j", (family, more, sliding) => {
    expect(figures(family, more).sliding).toEqual(sliding);
  });

  it("count key-value heads and used experts", () => {
    expect(figures("qwen3")).toMatchObject({ heads: 8, kvHeads: 2, keyLength: 32, contextLimit: 1024 });
    expect(figures("qwen3_moe").experts).toEqual({ used: 2, feedForward: 512 });
  });
});
