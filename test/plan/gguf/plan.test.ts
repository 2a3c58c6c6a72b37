import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGgufModel } from "../../../src/checkpoint/gguf-model.ts";
import { type DType, layoutOf } from "../../../src/core/dtype.ts";
import { type GgufMetadata, ggufTypeOf } from "../../../src/core/gguf.ts";
import { encodeGgufHeader } from "../../../src/gguf/header.ts";
import { ggufMixtureOf } from "../../../src/plan/gguf/mixture.ts";
import { type GgufPlan, planGguf } from "../../../src/plan/gguf/plan.ts";
import type { Expression } from "../../../src/plan/parameter.ts";
import { type GoldenEntry, goldenEntry, goldenJson, goldenPath } from "../../gguf/golden.ts";
import { syntheticValues } from "../../gguf/synthetic.ts";
import { buildGgmlCheck, GgmlCheck } from "../../native/ggml-check.ts";
import { evaluate, type Values } from "./evaluate.ts";
import { jsonObject, tokenizerFiles } from "./tokenizer-folder.ts";

type FloatName = "F32" | "F16" | "BF16";
type SourceRow = readonly [name: string, shape: readonly number[], dtype: FloatName];

interface Conversion {
  readonly id: string;
  readonly config: Record<string, unknown>;
  readonly tokenizer: string;
  readonly modelName: string;
  readonly tensors: readonly SourceRow[];
  readonly metadata: readonly GoldenEntry[];
  readonly ropeFreqs?: readonly number[];
  readonly conversions: Readonly<
    Record<
      string,
      {
        readonly fileType: number;
        readonly tensors: readonly (readonly [string, string, readonly number[], string?])[];
      }
    >
  >;
}

const DTYPES: Readonly<Record<FloatName, DType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };
const cases = readdirSync(goldenPath("conversions")).map((name) =>
  goldenJson<Conversion>(`conversions/${name}`),
);
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

let check: GgmlCheck;
/** The fastest backend here; test/native/ggml.test.ts compares it with the reference. */
let backend = "reference";
beforeAll(async () => {
  check = new GgmlCheck(buildGgmlCheck());
  for (const name of ["avx2", "avx512"]) if (await check.runs(name)) backend = name;
}, 300_000);
afterAll(() => check.close());

function plan(golden: Conversion, mixture: string): GgufPlan {
  return planGguf({
    files: tokenizerFiles(golden.tokenizer, jsonObject(golden.config)),
    sources: {
      tensors: new Map(golden.tensors.map(([name, shape, dtype]) => [name, { shape, dtype: DTYPES[dtype] }])),
    },
    mixture: ggufMixtureOf(mixture),
    name: golden.modelName,
  });
}

/** Long arrays as the golden files give them: a count and the MD5 of the elements as encoded. */
function summarised(metadata: GgufMetadata): ReadonlyMap<string, GoldenEntry> {
  return new Map(
    [...metadata].map(([key, value]) => {
      if (value.type !== "arr" || value.values.length <= 16) return [key, goldenEntry(key, value)];
      const header = encodeGgufHeader(new Map([[key, value]]), []);
      const start = 24 + 8 + Buffer.byteLength(key) + 4 + 4 + 8;
      let end = start;
      if (value.of === "str") for (const text of value.values) end += 8 + Buffer.byteLength(String(text));
      else end += value.values.length * 4;
      const summary = { of: value.of, count: value.values.length, md5: md5(header.subarray(start, end)) };
      return [key, [key, "arr", summary]];
    }),
  );
}

function halves(values: Float32Array): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(values.length * 2));
  for (const [i, value] of values.entries()) bytes.setUint16(i * 2, halfOf(value), true);
  return new Uint8Array(bytes.buffer);
}

/** Nearest float16, ties to even. */
function halfOf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const exponent = Math.max(Math.floor(Math.log2(magnitude || 2 ** -30)), -14);
  const scaled = magnitude / 2 ** (exponent - 10);
  const floor = Math.floor(scaled);
  const up = scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2 === 1);
  return sign + (exponent + 14) * 1024 + floor + Number(up);
}

function brains(values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer);
  const out = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return new Uint8Array(out.buffer);
}

async function encoded(dtype: DType, values: Float32Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(values.buffer);
  if (dtype === "float32") return bytes;
  if (dtype === "float16") return halves(values);
  if (dtype === "bfloat16") return brains(values);
  expect(layoutOf(dtype).blockElements).toBeGreaterThan(1);
  return check.run(backend, "quantize", { type: dtype.toUpperCase(), bytes });
}

describe.each(cases)("the GGUF plan of $id", (golden) => {
  const sources = new Map<string, Values>();
  const source = (name: string): Values => {
    const known = sources.get(name);
    if (known) return known;
    const [, shape, dtype] = golden.tensors.find(([each]) => each === name) ?? expect.fail(name);
    const values = { shape, data: syntheticValues(name, shape, dtype) };
    sources.set(name, values);
    return values;
  };

  const computed = new Map<string, Values>();
  const computedValue = ({ name, value }: { readonly name: string; readonly value: Expression }): Values => {
    const known = computed.get(name) ?? evaluate(value, source);
    computed.set(name, known);
    return known;
  };

  /** Hash of a tensor as stored. Many mixtures store a tensor in the same type. */
  const hashes = new Map<string, Promise<string>>();
  const hashOf = (name: string, dtype: DType, { data }: Values): Promise<string> => {
    const key = `${name} ${dtype}`;
    const hash = hashes.get(key) ?? encoded(dtype, data).then(md5);
    hashes.set(key, hash);
    return hash;
  };

  it("has the metadata that the reference converter writes", () => {
    for (const [mixture, { fileType }] of Object.entries(golden.conversions)) {
      const ours = summarised(plan(golden, mixture).metadata);
      const expected = [...golden.metadata, ["general.file_type", "u32", fileType] as const];
      for (const entry of expected) expect.soft(ours.get(entry[0]), entry[0]).toEqual(entry);
      expect([...ours.keys()].sort()).toEqual(expected.map(([key]) => key).sort());
    }
  });

  it.each(Object.keys(golden.conversions))(
    "stores every tensor as the reference does: %s",
    async (mixture) => {
      const { tensors } = plan(golden, mixture);
      const expected = golden.conversions[mixture]?.tensors ?? [];
      expect(tensors.map((tensor) => tensor.name).sort()).toEqual(expected.map(([name]) => name).sort());
      for (const tensor of tensors) {
        const [name, type, dims, hash] = expected.find(([each]) => each === tensor.name) ?? expect.fail();
        expect
          .soft([name, ggufTypeOf(tensor.dtype)?.name, [...tensor.shape].reverse()])
          .toEqual([name, type, dims]);
        if ("constant" in tensor) {
          expect(hash).toBeFalsy();
          for (const [i, value] of tensor.constant.entries()) {
            expect(Math.abs(value / (golden.ropeFreqs?.[i] ?? 0) - 1)).toBeLessThan(1e-6);
          }
          continue;
        }
        const values = computedValue(tensor);
        expect(values.shape).toEqual(tensor.shape);
        expect.soft(await hashOf(tensor.name, tensor.dtype, values), `${name} ${type}`).toBe(hash);
      }
    },
  );
});

describe("a GGUF plan", () => {
  const [golden = expect.fail()] = cases;

  it("says what is missing, misshapen or unknown in the checkpoint", () => {
    const tensors = golden.tensors
      .filter(([name]) => name !== "model.norm.weight")
      .map(
        ([name, shape, dtype]): SourceRow => [
          name,
          name.endsWith("0.mlp.up_proj.weight") ? [1, 2] : shape,
          dtype,
        ],
      );
    const broken = { ...golden, tensors: [...tensors, ["model.extra", [1], "F32"] as const] };
    expect(() => plan(broken, "F16")).toThrow(
      /model\.norm\.weight: missing[\s\S]*found \[1, 2\][\s\S]*model\.extra: unknown/,
    );
  });

  it("refuses what GGUF cannot express rather than drop it", () => {
    const refused = (config: Record<string, unknown>): (() => GgufPlan) => {
      return () => plan({ ...golden, config: { ...golden.config, ...config } }, "F16");
    };
    expect(refused({ query_pre_attn_scalar: 3 })).toThrow("query_pre_attn_scalar 3");
    expect(refused({ rope_scaling: { rope_type: "dynamic", factor: 2 } })).toThrow("dynamic");
    expect(refused({ model_type: "bert", architectures: ["BertModel"] })).toThrow("cannot write bert");
    expect(() => ggufMixtureOf("Q9_Z")).toThrow('unknown GGUF quantization "Q9_Z"');
    expect(ggufMixtureOf("q4_k").name).toBe("Q4_K_M");
  });

  it("takes another GGUF file as its source and gives the same model again", async () => {
    for (const name of ["tiny-llama.gguf", "tiny-qwen2-split-00001-of-00003.gguf"]) {
      const { checkpoint, config, gguf } = await openGgufModel(goldenPath(`files/${name}`));
      const again = planGguf({
        files: { config },
        sources: checkpoint,
        tokenizer: gguf.metadata,
        mixture: ggufMixtureOf("F32"),
        name: "Toy Model",
      });
      const shapes = (list: Iterable<{ name: string; shape: readonly number[] }>) =>
        [...list].map((tensor) => `${tensor.name} ${tensor.shape}`).sort();
      expect(shapes(again.tensors)).toEqual(shapes(gguf.tensors.values()));
      const kept = (metadata: GgufMetadata) =>
        [...metadata].filter(([key]) => !/^general\.(file_type|name)$/.test(key)).sort();
      expect(kept(again.metadata)).toEqual(kept(gguf.metadata));
    }
  });
});
