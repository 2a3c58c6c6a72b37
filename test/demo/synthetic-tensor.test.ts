import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  elementBytes,
  elementsOf,
  type SyntheticDType,
  type SyntheticTensor,
  syntheticBytes,
} from "../../src/demo/synthetic-tensor.ts";

const name = "model.layers.0.self_attn.q_proj.weight";
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

describe("synthetic tensors", () => {
  const recorded: readonly (readonly [SyntheticDType, string])[] = [
    ["F32", "3ab3fb1cda5ba48535d75c60cda807ab"],
    ["F16", "0d22fe718e2e8b916a821139e2c878d6"],
    ["BF16", "a9558c91d138b585b67bef92fac19ef7"],
    ["F8_E4M3", "a7025a8c78d0d8b4d6969e157ed04797"],
    ["I32", "a3b17ebfa4025922270a212b49606bcd"],
    ["U8", "3c9a293dd2177766fad6a01ad9778f25"],
  ];

  it.each(recorded)("hold the recorded values as %s", (dtype, expected) => {
    expect(md5(syntheticBytes({ name, dtype, shape: [24, 200] }, 0, 24 * 200))).toBe(expected);
  });

  it.each(recorded)("do not depend on the chunks they are made in as %s", (dtype) => {
    const tensor: SyntheticTensor = { name, dtype, shape: [24, 200] };
    const cuts = [0, 1, 159, 160, 161, 200, 377, 2500, elementsOf(tensor)];
    const chunks = cuts.slice(1).map((end, index) => syntheticBytes(tensor, cuts[index] ?? 0, end));
    expect(md5(Buffer.concat(chunks))).toBe(md5(syntheticBytes(tensor, 0, elementsOf(tensor))));
    expect(Buffer.concat(chunks).length).toBe(elementsOf(tensor) * elementBytes(dtype));
  });

  it("are one element for a scalar", () => {
    expect(syntheticBytes({ name, dtype: "F32", shape: [] }, 0, 1)).toHaveLength(4);
  });
});
