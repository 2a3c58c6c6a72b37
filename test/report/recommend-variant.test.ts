import { describe, expect, it } from "vitest";
import { encodingOfName, ggufVariants } from "../../src/report/gguf-variants.ts";
import { estimateMemory, type MemoryShape } from "../../src/report/memory-estimate.ts";
import { MLC_LLM, recommendVariant } from "../../src/report/recommend-variant.ts";

const shape = (
  [layers, hidden, vocab, heads, kvHeads, head]: readonly [number, number, number, number, number, number],
  more: Partial<MemoryShape> = {},
): MemoryShape => ({ layers, hidden, vocab, heads, kvHeads, keyLength: head, valueLength: head, ...more });

const LLAMA_1B = shape([16, 2048, 128_256, 32, 8, 64]);
const LLAMA_8B = shape([32, 4096, 128_256, 32, 8, 128]);
const QWEN_7B = shape([28, 3584, 152_064, 28, 4, 128]);
const GEMMA_9B = shape([42, 3584, 256_000, 16, 8, 256], { sliding: { layers: 21, window: 4096 } });
const MIXTRAL = shape([32, 4096, 32_000, 32, 8, 128], { experts: { used: 2, feedForward: 14_336 } });
const MIB = 2 ** 20;

describe("the memory estimate", () => {
  it.each([
    ["1B", { shape: LLAMA_1B }, 128, 258.5],
    ["8B", { shape: LLAMA_8B }, 512, 266.5],
    ["8B with a long context", { shape: LLAMA_8B, context: 16_384 }, 2048, 266.5],
    ["8B without flash attention", { shape: LLAMA_8B, flashAttention: false }, 512, 308],
    ["8B in small batches", { shape: LLAMA_8B, batch: 128 }, 512, 66.6],
    ["8B with a quantized cache", { shape: LLAMA_8B, cache: "q8_0" as const }, 272, 266.5],
    ["Qwen2.5 7B", { shape: QWEN_7B }, 224, 311],
    ["Gemma 2 9B", { shape: GEMMA_9B }, 1344, 514],
    ["Mixtral", { shape: MIXTRAL }, 512, 204],
    ["Mixtral with a long context", { shape: MIXTRAL, context: 16_384 }, 2048, 216],
  ])("is what the engine was measured to take: %s", (_, request, cache, compute) => {
    const estimate = estimateMemory({ context: 4096, weightBytes: 1000, ...request });
    expect(estimate.cache / MIB).toBeCloseTo(cache, 6);
    expect(Math.abs(estimate.compute / MIB / compute - 1)).toBeLessThan(0.002);
    expect(estimate.total).toBe(1000 + estimate.cache + estimate.compute);
  });

  it("keeps no more of sliding layers than their window", () => {
    const at = (context: number): number =>
      estimateMemory({ shape: GEMMA_9B, weightBytes: 0, context }).cache;
    const perCell = 21 * 8 * 512 * 2;
    expect(at(32_768) - at(16_384)).toBe(16_384 * perCell);
  });
});

describe("recommending a variant", () => {
  const variants = [
    ["Q8_0", 8.53e9],
    ["Q6_K", 6.59e9],
    ["Q4_K_M", 4.91e9],
    ["Q2_K", 3.17e9],
    ["F16", 16.06e9],
    ["IQ1_S", 2e9],
  ].map(([name, weightBytes]) => ({
    name: String(name),
    quantization: String(name),
    weightBytes: Number(weightBytes),
  }));
  const choose = (ram: number, vram?: number) =>
    recommendVariant(variants, {
      shape: LLAMA_8B,
      context: 8192,
      machine: { ram, ...(vram === undefined ? {} : { vram }) },
    });

  it("takes the best quality that fits, but no more than Q8_0", () => {
    expect(choose(64e9).chosen?.variant.name).toBe("Q8_0");
    expect(choose(12e9).chosen).toMatchObject({ variant: { name: "Q6_K" }, placement: "cpu", gpuLayers: 0 });
    expect(choose(7e9).chosen?.variant.name).toBe("Q2_K");
    expect(choose(4e9).chosen).toBeUndefined();
  });

  it("prefers what runs wholly on the GPU, and else shares the layers out", () => {
    expect(choose(64e9, 24e9).chosen).toMatchObject({
      variant: { name: "Q8_0" },
      placement: "gpu",
      gpuLayers: 32,
    });
    expect(choose(64e9, 8e9).chosen).toMatchObject({ variant: { name: "Q4_K_M" }, placement: "gpu" });
    const shared = choose(64e9, 4e9).chosen;
    expect(shared).toMatchObject({ variant: { name: "Q8_0" }, placement: "split" });
    expect(shared?.gpu.need).toBeLessThanOrEqual(shared?.gpu.usable ?? 0);
  });

  it("says how long a context could be at most", () => {
    const at = (ram: number, contextLimit: number): readonly number[] =>
      recommendVariant(variants.slice(2, 3), {
        shape: LLAMA_8B,
        context: 4096,
        contextLimit,
        machine: { ram },
      }).assessed.map((each) => each.longestContext);
    expect(at(64e9, 131_072)).toEqual([131_072]);
    expect(at(5e9, 131_072)).toEqual([0]);
    // 10e9 - 2e9 for the system - 0.3e9 reserve - 4.91e9 weights - 0.28e9 compute leaves 2.5e9 for the cache.
    const [longest = 0] = at(10e9, 131_072);
    expect(longest).toBe(
      Math.floor((8e9 - 0.3e9 - 4.91e9 - 512 * 4 * (128_256 + 8192)) / 131_072 / 256) * 256,
    );
  });

  it("does not share layers out for an engine that cannot", () => {
    const mlc = [{ name: "q4f16_1", quantization: "q4f16_1", weightBytes: 4.5e9 }];
    const take = (vram: number) =>
      recommendVariant(mlc, {
        shape: LLAMA_8B,
        context: 4096,
        machine: { ram: 32e9, vram },
        engine: MLC_LLM,
      }).chosen;
    expect(take(8e9)).toMatchObject({ placement: "gpu", gpuLayers: 32 });
    expect(take(4e9)).toMatchObject({ placement: "cpu", gpuLayers: 0 });
  });

  it("takes what it cannot rank only where there is nothing else", () => {
    const others = [{ name: "x-Q4_1.gguf", quantization: "Q4_1", weightBytes: 5e9 }];
    const question = { shape: LLAMA_8B, context: 4096, machine: { ram: 16e9 } };
    expect(recommendVariant(others, question).chosen?.variant.quantization).toBe("Q4_1");
    const both = [...others, { name: "y", quantization: "Q2_K", weightBytes: 3e9 }];
    expect(recommendVariant(both, question).chosen?.variant.quantization).toBe("Q2_K");
  });

  it("shows the arithmetic of every variant, best first", () => {
    const { assessed } = choose(12e9);
    const names = assessed.map(({ variant }) => variant.name);
    expect(names).toEqual(["F16", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K", "IQ1_S"]);
    for (const { main, memory } of assessed) expect(main.need).toBeCloseTo(300e6 + memory.total, -1);
  });
});

describe("variants of a repository", () => {
  it.each([
    ["Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M"],
    ["model.q5_k_s.gguf", "Q5_K_S"],
    ["Q6_K/model-Q6_K-00001-of-00002.gguf", "Q6_K"],
    ["m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"],
    ["m.i1-IQ4_XS.gguf", "i1-IQ4_XS"],
    ["m-fp16.gguf", "F16"],
    ["m-IQ4_NL.gguf", "IQ4_NL"],
    ["m-q4.gguf", undefined],
  ])("are named as is customary: %s", (name, encoding) => {
    expect(encodingOfName(name)).toBe(encoding);
  });

  it("are whole groups of shards, and models only", () => {
    const files = [
      { name: "a-Q8_0-00001-of-00002.gguf", size: 10 },
      { name: "a-Q8_0-00002-of-00002.gguf", size: 5 },
      { name: "b-Q4_0-00001-of-00002.gguf", size: 10 },
      { name: "mmproj-a-F16.gguf", size: 3 },
      { name: "a-Q2_K.gguf", size: 4 },
      { name: "config.json", size: 1 },
    ];
    expect(ggufVariants(files)).toEqual([
      { name: "a-Q2_K.gguf", quantization: "Q2_K", weightBytes: 4 },
      { name: "a-Q8_0-00001-of-00002.gguf", quantization: "Q8_0", weightBytes: 15 },
    ]);
  });
});
