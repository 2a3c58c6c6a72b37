import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseGgufHeader } from "../../src/checkpoint/gguf-header.ts";
import { ggufText, ggufU32 } from "../../src/core/gguf.ts";
import { type GgufOutputTensor, layoutGguf } from "../../src/gguf/layout.ts";
import { goldenPath } from "./golden.ts";

const toy: readonly GgufOutputTensor[] = Array.from({ length: 8 }, (_, i) => ({
  name: `blk.${i}.x.weight`,
  shape: [4, 8 + i],
  dtype: "float32",
}));
const metadata = new Map([
  ["general.architecture", ggufText("llama")],
  ["general.name", ggufText("split toy")],
  ["llama.block_count", ggufU32(2)],
]);

describe("the layout of GGUF files", () => {
  it("writes the header that an established writer wrote, byte for byte, split into parts", () => {
    const files = layoutGguf({ fileName: "split.gguf", metadata, tensors: toy, splitMaxBytes: 608 });
    expect(files.map((file) => file.name)).toEqual([1, 2, 3].map((n) => `split-0000${n}-of-00003.gguf`));
    for (const file of files) {
      const golden = readFileSync(goldenPath(`files/${file.name}`));
      expect(Buffer.compare(golden.subarray(0, file.header.length), file.header)).toBe(0);
      expect(file.size).toBe(golden.length);
    }
    expect(files.flatMap((file) => file.tensors.map((tensor) => tensor.index))).toEqual([...toy.keys()]);
  });

  it("keeps every value type through a round trip", () => {
    const bytes = readFileSync(goldenPath("files/kinds.gguf"));
    const read = parseGgufHeader(bytes, { name: "kinds", size: bytes.length });
    const kept = new Map([...read.metadata].filter(([key]) => key !== "general.alignment"));
    const tensors = read.tensors.map(({ name, shape, type }) => ({
      name,
      shape,
      dtype: type.dtype ?? expect.fail(),
    }));
    const [file = expect.fail()] = layoutGguf({ fileName: "k.gguf", metadata: kept, tensors });
    const again = parseGgufHeader(file.header, { name: "again", size: file.size });
    expect(again.metadata).toEqual(kept);
    expect(again.tensors.map((tensor) => [tensor.name, tensor.shape, tensor.type.name])).toEqual(
      read.tensors.map((tensor) => [tensor.name, tensor.shape, tensor.type.name]),
    );
    expect(file.tensors.map((tensor) => tensor.byteOffset)).toEqual(
      again.tensors.map((tensor) => tensor.byteOffset),
    );
  });

  it("gives a tensor larger than the limit a file of its own", () => {
    const files = layoutGguf({ fileName: "m.gguf", metadata, tensors: toy, splitMaxBytes: 1 });
    expect(files.map((file) => file.tensors.length)).toEqual(Array(8).fill(1));
    const whole = layoutGguf({ fileName: "m.gguf", metadata, tensors: toy });
    expect(whole.map((file) => [file.name, file.tensors.length])).toEqual([["m.gguf", 8]]);
  });

  it("refuses rows that are no whole blocks, and names that no loader takes", () => {
    const request = (tensor: GgufOutputTensor) => ({ fileName: "m.gguf", metadata, tensors: [tensor] });
    expect(() => layoutGguf(request({ name: "w", shape: [64, 33], dtype: "q8_0" }))).toThrow("[64, 33]");
    expect(() => layoutGguf(request({ name: "w", shape: [2], dtype: "complex64" }))).toThrow("complex64");
    expect(() => layoutGguf(request({ name: "w".repeat(64), shape: [2], dtype: "float32" }))).toThrow("63");
  });
});
