import { expect, it } from "vitest";
import { ggufMixtureSizes } from "../../../src/plan/gguf/sizes.ts";
import { denseCheckpoint, LLAMA_8B, llamaConfig } from "./model-shapes.ts";
import { jsonObject } from "./tokenizer-folder.ts";

it("the size of every quantization is known from names and shapes", () => {
  const sizes = ggufMixtureSizes(jsonObject(llamaConfig(LLAMA_8B)), denseCheckpoint(LLAMA_8B));
  const gigabytes = (name: string): number =>
    (sizes.find(({ quantization }) => quantization === name)?.nbytes ?? 0) / 1e9;
  expect(gigabytes("F16")).toBeCloseTo(16.06, 2);
  expect(gigabytes("Q4_K_M")).toBeCloseTo(4.91, 1);
  expect(sizes).toHaveLength(19);
});
