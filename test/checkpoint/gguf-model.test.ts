import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type GgufModel, openGgufModel } from "../../src/checkpoint/gguf-model.ts";
import { originalTensors } from "../../src/checkpoint/gguf-names.ts";
import { ropeScalingOf } from "../../src/checkpoint/gguf-rope.ts";
import { rebuildTokenizer } from "../../src/checkpoint/gguf-tokenizer.ts";
import { byteLength, elementCount } from "../../src/core/dtype.ts";
import { ggufText, ggufTexts } from "../../src/core/gguf.ts";
import { Float, isArray, isObject, type Json, parseJson } from "../../src/core/json.ts";
import { llama3RopeFactors } from "../../src/core/rope-factors.ts";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import { goldenJson, goldenPath } from "../gguf/golden.ts";

const TINY = ["tiny-llama", "tiny-gemma2", "tiny-qwen2-split"];

/** Plain data of a JSON value. */
function plain(value: Json | undefined): unknown {
  if (value instanceof Float) return value.value;
  if (isArray(value)) return value.map(plain);
  return isObject(value) ? Object.fromEntries([...value].map(([key, each]) => [key, plain(each)])) : value;
}

const open = (name: string): Promise<GgufModel> => {
  const { files } = goldenJson<{ files: readonly string[] }>(`files/${name}.json`);
  return openGgufModel(goldenPath(`files/${files[0]}`));
};

describe("a GGUF model as a checkpoint", () => {
  it.each(TINY)("has the config.json that it was made from: %s", async (name) => {
    const { config } = await open(name);
    const golden = goldenJson<{ config: Record<string, unknown> }>(`files/${name}.json`).config;
    // Neither is stored: the scale that loaders assume stands in for the one, file types for the other.
    const { query_pre_attn_scalar: _, torch_dtype: __, ...expected } = golden;
    expect(plain(config)).toMatchObject(expected);
  });

  it("says that its source was quantized before", async () => {
    const { checkpoint } = await open("tiny-llama");
    expect(checkpoint.format).toBe("gguf");
    expect(checkpoint.notices.join()).toMatch(/already quantized|^$/);
    const quantized = [...checkpoint.tensors.values()].some((info) => /_/.test(info.dtype));
    expect(checkpoint.notices.length).toBe(quantized ? 1 : 0);
    expect(checkpoint.stored.flat()).toHaveLength(checkpoint.tensors.size);
  });

  it("refuses other architectures and what is no model", async () => {
    await expect(openGgufModel(goldenPath("files/split-00001-of-00003.gguf"))).rejects.toMatchObject({
      code: "E_GGUF_METADATA",
    });
  });
});

describe("original names of GGUF tensors", () => {
  const naming = { architecture: "llama", heads: 4, kvHeads: 2, headDim: 8, experts: 0 };
  const info = (name: string, shape: readonly number[]): TensorInfo => {
    const nbytes = byteLength("q8_0", elementCount(shape)) ?? expect.fail();
    return { name, shape, dtype: "q8_0", file: 0, byteOffset: 1000, nbytes };
  };
  const named = (tensor: TensorInfo, overrides: object = {}) =>
    originalTensors(new Map([[tensor.name, tensor]]), { ...naming, ...overrides });

  it("cut fused attention into its rows", () => {
    const { tensors, storedForms } = named(info("blk.3.attn_qkv.weight", [64, 64]));
    const rows = [...tensors.values()].map(({ name, shape, byteOffset }) => [
      name.slice(25),
      shape[0],
      byteOffset,
    ]);
    expect(rows).toEqual([
      ["q_proj.weight", 32, 1000],
      ["k_proj.weight", 16, 1000 + 32 * 68],
      ["v_proj.weight", 16, 1000 + 48 * 68],
    ]);
    expect([...storedForms.values()]).toEqual([
      { kind: "interleaved-heads", heads: 4 },
      { kind: "interleaved-heads", heads: 2 },
    ]);
    expect([
      ...named(info("blk.0.attn_qkv.weight", [64, 64]), { architecture: "phi3" }).tensors.keys(),
    ]).toEqual(["model.layers.0.self_attn.qkv_proj.weight"]);
  });

  it("take stacked, fused and separate experts apart", () => {
    const experts = { architecture: "qwen3moe", experts: 2 };
    const stacked = named(info("blk.0.ffn_gate_up_exps.weight", [2, 64, 32]), experts).tensors;
    expect([...stacked.values()].map(({ name, byteOffset }) => [name.slice(15), byteOffset])).toEqual([
      ["mlp.experts.0.gate_proj.weight", 1000],
      ["mlp.experts.0.up_proj.weight", 1000 + 32 * 34],
      ["mlp.experts.1.gate_proj.weight", 1000 + 64 * 34],
      ["mlp.experts.1.up_proj.weight", 1000 + 96 * 34],
    ]);
    const old = named(info("blk.0.ffn_down.1.weight", [64, 32]), { experts: 2 }).tensors;
    expect([...old.keys()]).toEqual(["model.layers.0.block_sparse_moe.experts.1.w2.weight"]);
  });

  it("refuse what no known architecture has", () => {
    expect(() => named(info("blk.0.ssm_conv1d.weight", [32]))).toThrow("blk.0.ssm_conv1d.weight");
    expect(() => named(info("mm.0.weight", [32]))).toThrow("mm.0.weight");
  });
});

describe("recovering rope_scaling", () => {
  const base = { theta: 500_000, dims: 128 };
  const sets = [
    { factor: 8, low: 1, high: 4, original: 8192 },
    { factor: 32, low: 1, high: 4, original: 8192 },
    { factor: 16, low: 1, high: 2.5, original: 2048 },
  ];

  it.each(sets)("gives the factors again: factor $factor, high $high, original $original", (parameters) => {
    const freqs = llama3RopeFactors({ ...base, ...parameters });
    const scaling = ropeScalingOf({ freqs }, base) ?? expect.fail();
    const number = (key: string): number => Number(plain(scaling.get(key)));
    const again = llama3RopeFactors({
      ...base,
      factor: number("factor"),
      low: number("low_freq_factor"),
      high: number("high_freq_factor"),
      original: number("original_max_position_embeddings"),
    });
    for (const [i, factor] of freqs.entries())
      expect(Math.abs((again[i] ?? 0) / factor - 1)).toBeLessThan(1e-4);
  });
});

describe("rebuilding tokenizers", () => {
  it.each(["tiny-llama", "tiny-qwen2-split"])("gives back a byte-level tokenizer.json: %s", async (name) => {
    const { tokenizer } = goldenJson<{ tokenizer: string }>(`files/${name}.json`);
    const text = readFileSync(goldenPath(`tokenizers/${tokenizer}/tokenizer.json`), "utf8");
    const original = plain(parseJson(text)) as Record<string, Record<string, unknown>>;
    const { tokenizerJson } = rebuildTokenizer((await open(name)).gguf.metadata);
    const rebuilt = plain(tokenizerJson) as typeof original;
    for (const key of ["vocab", "merges", "ignore_merges", "byte_fallback"]) {
      expect(rebuilt.model?.[key]).toEqual(original.model?.[key]);
    }
    expect(rebuilt.added_tokens).toEqual(original.added_tokens);
    expect(rebuilt.pre_tokenizer).toEqual(original.pre_tokenizer);
  });

  let metadata: GgufModel["gguf"]["metadata"];
  beforeAll(async () => {
    metadata = (await open("tiny-gemma2")).gguf.metadata;
  });

  it("merges as SentencePiece does", () => {
    const { tokenizerJson } = rebuildTokenizer(metadata);
    const tokenizer = plain(tokenizerJson) as {
      model: { vocab: Record<string, number>; merges: [string, string][] };
      added_tokens: { id: number; content: string }[];
    };
    const ids = goldenJson<{ text: string; ids: number[] }[]>("tokenizers/spm-gemma/ids.json");
    expect(ids.length).toBeGreaterThan(2);
    for (const { text, ids: expected } of ids) expect(encode(tokenizer, text)).toEqual(expected);
  });

  it("keeps special tokens, flags and the chat template", () => {
    const { tokenizerConfig, tokenizerJson } = rebuildTokenizer(metadata);
    expect(plain(tokenizerConfig)).toMatchObject({
      bos_token: "<bos>",
      eos_token: "<eos>",
      add_bos_token: true,
    });
    expect(plain(tokenizerJson)).toMatchObject({ post_processor: { type: "TemplateProcessing" } });
  });

  it("refuses tokenizers of other kinds", () => {
    const tokens = ggufTexts(["a"]);
    const broken = (model: string, extra: object = {}) =>
      new Map(
        Object.entries({
          "tokenizer.ggml.tokens": tokens,
          "tokenizer.ggml.model": ggufText(model),
          ...extra,
        }),
      );
    expect(() => rebuildTokenizer(broken("bert"))).toThrow('tokenizer.ggml.model is "bert"');
    expect(() => rebuildTokenizer(broken("gpt2"))).toThrow("merges is missing");
    const merges = { "tokenizer.ggml.merges": ggufTexts([]), "tokenizer.ggml.pre": ggufText("strange") };
    expect(() => rebuildTokenizer(broken("gpt2", merges))).toThrow('"strange" is not known');
    expect(() => rebuildTokenizer(new Map())).toThrow("no list of texts");
  });
});

/** Byte-pair encoding with byte fallback, as tokenizer.json prescribes it (no prefix space). */
function encode(
  {
    model,
    added_tokens,
  }: {
    model: { vocab: Record<string, number>; merges: [string, string][] };
    added_tokens: { id: number; content: string }[];
  },
  text: string,
): number[] {
  const added = [...added_tokens].sort((a, b) => b.content.length - a.content.length);
  for (const { content, id } of added) {
    const at = text.indexOf(content);
    if (at < 0) continue;
    const [before, after] = [text.slice(0, at), text.slice(at + content.length)];
    const rest = (part: string) => (part === "" ? [] : encode({ model, added_tokens }, part));
    return [...rest(before), id, ...rest(after)];
  }
  const ranks = new Map(model.merges.map((pair, rank) => [pair.join(" "), rank]));
  const symbols = [...text.replaceAll(" ", "▁")];
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Number.POSITIVE_INFINITY;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) break;
    symbols.splice(at, 2, `${symbols[at]}${symbols[at + 1]}`);
  }
  return symbols.flatMap((symbol) => {
    const id = model.vocab[symbol];
    if (id !== undefined) return [id];
    const bytes = [...new TextEncoder().encode(symbol)];
    return bytes.map((byte) => model.vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`] ?? -1);
  });
}
