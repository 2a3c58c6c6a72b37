import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open-checkpoint.ts";
import { type SyntheticDType, syntheticBytes } from "../../src/demo/synthetic-tensor.ts";
import { tensorBytes } from "../support/tensor-bytes.ts";

const folderOf = (id: string): string => new URL(`../golden/torch/${id}`, import.meta.url).pathname;
const SPELLED: Readonly<Record<string, SyntheticDType>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

describe("files that torch.save wrote", () => {
  it.each([
    ["gemma-zip-single", { tensors: 20, files: 1, dtype: "bfloat16", singleFile: true }],
    ["gpt2-legacy-single", { tensors: 28, files: 1, dtype: "float16", singleFile: true }],
    ["llama-zip-sharded", { tensors: 21, files: 2, dtype: "bfloat16", singleFile: false }],
    ["qwen2-zip-views", { tensors: 27, files: 1, dtype: "float32", singleFile: true }],
  ])("%s: every tensor's bytes lie where the checkpoint says", async (id, expected) => {
    const checkpoint = await openCheckpoint(folderOf(id));
    expect(checkpoint.format).toBe("huggingface-torch");
    expect(checkpoint.singleFile).toBe(expected.singleFile);
    expect(checkpoint.files).toHaveLength(expected.files);
    expect(checkpoint.tensors.size).toBe(expected.tensors);
    for (const { name, dtype, shape } of checkpoint.tensors.values()) {
      expect(dtype).toBe(expected.dtype);
      const count = shape.reduce((product, extent) => product * extent, 1);
      const made = syntheticBytes({ name, dtype: SPELLED[dtype] ?? "U8", shape }, 0, count);
      expect(Buffer.compare(await tensorBytes(checkpoint, name), made), name).toBe(0);
    }
  });

  it("hold views with strides, and names without a value", async () => {
    const checkpoint = await openCheckpoint(folderOf("qwen2-zip-views"));
    const strided = [...checkpoint.tensors.values()].filter((tensor) => tensor.strides !== undefined);
    expect(strided.map(({ name, strides }) => [name, strides])).toEqual([
      ["model.layers.0.self_attn.o_proj.weight", [1, 64]],
      ["model.layers.1.self_attn.o_proj.weight", [1, 64]],
    ]);
    expect(checkpoint.notices).toEqual([
      "pytorch_model.bin: skipped 1 names that hold None: model.unused_none",
    ]);
    expect(checkpoint.stored[0]?.some(({ name }) => name === "model.unused_none")).toBe(false);
  });
});
