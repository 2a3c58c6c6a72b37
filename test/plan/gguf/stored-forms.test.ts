import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GgufModel, openGgufModel } from "../../../src/checkpoint/gguf-model.ts";
import { elementCount, layoutOf } from "../../../src/core/dtype.ts";
import type { TensorInfo } from "../../../src/core/tensor-info.ts";
import { restoreForms } from "../../../src/plan/gguf/stored-forms.ts";
import { interleaveHeads } from "../../../src/plan/gguf/tensors.ts";
import { goldenJson, goldenPath } from "../../gguf/golden.ts";
import { buildGgmlCheck, GgmlCheck } from "../../native/ggml-check.ts";
import { evaluate, type Values } from "./evaluate.ts";

interface Tiny {
  readonly files: readonly string[];
  readonly hf: readonly (readonly [name: string, shape: readonly number[], md5: string])[];
}

const MODELS = ["tiny-llama", "tiny-gemma2", "tiny-qwen2-split"];

let check: GgmlCheck;
beforeAll(() => {
  check = new GgmlCheck(buildGgmlCheck());
}, 300_000);
afterAll(() => check.close());

/** A stored tensor's values in float32. */
async function valuesOf(model: GgufModel, info: TensorInfo): Promise<Values> {
  const path = model.checkpoint.files[info.file]?.path ?? expect.fail();
  const bytes = readFileSync(path).subarray(info.byteOffset, info.byteOffset + info.nbytes);
  if (layoutOf(info.dtype).blockElements > 1) {
    const values = await check.run("reference", "dequantize", { type: info.dtype.toUpperCase(), bytes });
    return { shape: info.shape, data: new Float32Array(new Uint8Array(values).buffer) };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (i: number): number => {
    if (info.dtype === "float32") return view.getFloat32(i * 4, true);
    const half = view.getUint16(i * 2, true);
    if (info.dtype === "bfloat16") return new Float32Array(Uint32Array.of(half << 16).buffer)[0] ?? 0;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
  };
  return {
    shape: info.shape,
    data: Float32Array.from({ length: elementCount(info.shape) }, (_, i) => at(i)),
  };
}

describe("restoring the forms of a GGUF model's tensors", () => {
  it.each(MODELS)("gives the tensors of the original checkpoint: %s", async (name) => {
    const golden = goldenJson<Tiny>(`files/${name}.json`);
    const model = await openGgufModel(goldenPath(`files/${golden.files.at(-1)}`));
    const { tensors, storedForms } = model.checkpoint;
    expect([...tensors.keys()].sort()).toEqual(golden.hf.map(([tensor]) => tensor).sort());
    for (const [tensor, shape, md5] of golden.hf) {
      const values = await valuesOf(model, tensors.get(tensor) ?? expect.fail(tensor));
      const plusOne = storedForms?.get(tensor)?.kind === "plus-one";
      const restored = plusOne
        ? { shape: values.shape, data: values.data.map((value) => value - 1) }
        : evaluate(restoreForms({ op: "source", name: tensor }, model.checkpoint), () => values);
      expect(restored.shape).toEqual(shape);
      expect
        .soft(createHash("md5").update(new Uint8Array(restored.data.buffer)).digest("hex"), tensor)
        .toBe(md5);
    }
  });

  it("undoes the order of heads wherever a source occurs, and cancels a sum with one", () => {
    const storedForms = new Map([
      ["q", { kind: "interleaved-heads", heads: 2 }],
      ["n", { kind: "plus-one" }],
    ] as const);
    const sources = { tensors: new Map([["q", { shape: [8, 1] }]]), storedForms };
    const data = Float32Array.from({ length: 8 }, (_, i) => i);
    const stored = evaluate(interleaveHeads({ op: "source", name: "q" }, [8, 1], 2), () => ({
      shape: [8, 1],
      data,
    }));
    expect([...stored.data]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    const both = { op: "stack", parts: [{ op: "source", name: "q" }] } as const;
    expect([...evaluate(restoreForms(both, sources), () => stored).data]).toEqual([...data]);
    const norm = { op: "source", name: "n" } as const;
    expect(restoreForms({ op: "add1", of: norm, in: "source" }, sources)).toEqual(norm);
    expect(() => restoreForms(norm, sources)).toThrow("stored plus one");
  });
});
