import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { type SyntheticDType, syntheticBytes, syntheticValues } from "../gguf/synthetic.ts";
import { buildGgmlCheck, GgmlCheck } from "./ggml-check.ts";

interface Golden {
  readonly vectors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly dtype: Exclude<SyntheticDType, "U8">;
    readonly quantized: Readonly<Record<string, string>>;
    readonly dequantized: Readonly<Record<string, string>>;
  }[];
  readonly rows: readonly {
    readonly label: string;
    readonly input: string;
    readonly output: Readonly<Record<string, string>>;
  }[];
  readonly blocks: readonly {
    readonly name: string;
    readonly type: string;
    readonly blocks: number;
    readonly blockMd5: string;
    readonly dequantized: string;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL("../golden/gguf/quant.json", import.meta.url), "utf8"),
) as Golden;

/** Elements and bytes of a block, and where its float16 fields lie. */
const LAYOUT: Readonly<Record<string, { elements: number; bytes: number; halves: readonly number[] }>> = {
  Q8_0: { elements: 32, bytes: 34, halves: [0] },
  Q4_0: { elements: 32, bytes: 18, halves: [0] },
  Q4_1: { elements: 32, bytes: 20, halves: [0, 2] },
  Q5_0: { elements: 32, bytes: 22, halves: [0] },
  Q5_1: { elements: 32, bytes: 24, halves: [0, 2] },
  Q2_K: { elements: 256, bytes: 84, halves: [80, 82] },
  Q3_K: { elements: 256, bytes: 110, halves: [108] },
  Q4_K: { elements: 256, bytes: 144, halves: [0, 2] },
  Q5_K: { elements: 256, bytes: 176, halves: [0, 2] },
  Q6_K: { elements: 256, bytes: 210, halves: [208] },
  IQ4_NL: { elements: 32, bytes: 18, halves: [0] },
  IQ4_XS: { elements: 256, bytes: 136, halves: [0] },
  MXFP4: { elements: 32, bytes: 17, halves: [] },
};
const TYPES = Object.keys(LAYOUT);
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);

const check = new GgmlCheck(buildGgmlCheck());
afterAll(() => check.close());
const backends: { name: string; absent: boolean }[] = [];
for (const name of ["avx2", "avx512"]) {
  const absent = !(await check.runs(name));
  if (absent) console.warn(`ggml: ${name} is not tested: this machine cannot run it`);
  backends.push({ name, absent });
}

/** Bytes that no quantizer made: every bit pattern a block can hold, with finite scales. */
function arbitraryBlocks(type: string, name: string, blocks: number): Uint8Array {
  const layout = LAYOUT[type];
  if (!layout) throw new Error(type);
  const bytes = syntheticBytes(name, [blocks, layout.bytes]);
  const and = (at: number, mask: number): void => {
    bytes[at] = (bytes[at] ?? 0) & mask;
  };
  for (let b = 0; b < blocks; b++) {
    for (const half of layout.halves) and(b * layout.bytes + half + 1, 0xbf);
    if (type === "MXFP4") and(b * layout.bytes, 0x7f);
  }
  return bytes;
}

describe("the reference kernels of GGUF block types", () => {
  it("are covered by golden results, every one", () => {
    for (const type of TYPES) {
      expect(golden.vectors.some((vector) => vector.quantized[type] !== undefined)).toBe(true);
      expect(golden.rows.every((row) => row.output[type] !== undefined)).toBe(true);
      expect(golden.blocks.some((block) => block.type === type)).toBe(true);
    }
  });

  it.each(golden.vectors)("quantize $name ($dtype $shape) to ggml's bytes and back", async (vector) => {
    const bytes = bytesOf(syntheticValues(vector.name, vector.shape, vector.dtype));
    for (const type of TYPES.filter((candidate) => vector.quantized[candidate] !== undefined)) {
      const blocks = await check.run("reference", "quantize", { type, bytes });
      expect.soft(md5(blocks), `${type} quantized`).toBe(vector.quantized[type]);
      const values = await check.run("reference", "dequantize", { type, bytes: blocks });
      expect.soft(md5(values), `${type} dequantized`).toBe(vector.dequantized[type]);
    }
  });

  it.each(golden.rows)("quantize the edge case: $label", async ({ input, output }) => {
    const row = Buffer.from(input, "hex");
    for (const type of TYPES) {
      const bytes = row.subarray(0, (LAYOUT[type]?.elements ?? 0) * 4);
      const blocks = await check.run("reference", "quantize", { type, bytes });
      expect.soft(blocks.toString("hex"), type).toBe(output[type]);
    }
  });

  it.each(golden.blocks)("dequantize arbitrary $type blocks", async (block) => {
    const bytes = arbitraryBlocks(block.type, block.name, block.blocks);
    expect(md5(bytes)).toBe(block.blockMd5);
    const values = await check.run("reference", "dequantize", { type: block.type, bytes });
    expect(md5(values)).toBe(block.dequantized);
  });
});

describe.each(backends)("the $name kernels of GGUF block types", ({ name: backend, absent }) => {
  /** Values of one kind; each kind reaches other branches of the searches. */
  const kinds: readonly ((random: () => number) => number)[] = [
    (random) => random() + random() + random() - 1.5,
    (random) => [0, -0, 1, -1, 0.5][Math.floor(random() * 5)] ?? 0,
    (random) => (random() - 0.5) * 10 ** (-42 + 12 * random()),
    (random) => (random() - 0.5) * 10 ** (-20 + 24 * random()),
    (random) => Math.floor(random() * 17) - 8,
    (random) => (random() < 0.5 ? 0 : -0),
    (random) => random() + 3,
    (random) => (random() - 0.5) * 1e38,
    (random) => (random() < 0.8 ? 0 : random()),
  ];

  it.skipIf(absent).each(TYPES)("equal the reference bit for bit: %s", async (type) => {
    const layout = LAYOUT[type] ?? expect.fail();
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] ?? expect.fail();
    // Odd numbers of blocks leave lanes over.
    const elements = layout.elements * (layout.elements === 32 ? 171 : 43);
    const values = new Float32Array(elements);
    for (let i = 0; i < elements; i += layout.elements) {
      const common = pick(kinds);
      for (let part = i; part < i + layout.elements; part += 16) {
        const kind = random() < 0.8 ? common : pick(kinds);
        for (let k = part; k < part + 16; k++) values[k] = kind(random);
      }
    }
    const request = { type, bytes: bytesOf(values) };
    const expected = await check.run("reference", "quantize", request);
    expect((await check.run(backend, "quantize", request)).equals(expected)).toBe(true);
    for (const bytes of [arbitraryBlocks(type, "arbitrary", 37), expected]) {
      const plain = await check.run("reference", "dequantize", { type, bytes });
      expect((await check.run(backend, "dequantize", { type, bytes })).equals(plain)).toBe(true);
    }
  });

  it.skipIf(absent).each(golden.rows)("quantize the edge case: $label", async ({ input, output }) => {
    for (const type of TYPES) {
      const bytes = Buffer.from(input, "hex").subarray(0, (LAYOUT[type]?.elements ?? 0) * 4);
      const blocks = await check.run(backend, "quantize", { type, bytes });
      expect.soft(blocks.toString("hex"), type).toBe(output[type]);
    }
  });
});
