import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open-checkpoint.ts";
import { DEMO_SIZES, llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { writeSyntheticCheckpoint, writeSyntheticSafetensors } from "../../src/demo/synthetic-checkpoint.ts";
import { type SyntheticTensor, syntheticBytes } from "../../src/demo/synthetic-tensor.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { tensorBytes } from "../support/tensor-bytes.ts";

describe("a synthetic checkpoint", () => {
  it("is a file whose header is padded to eight bytes and whose data lies in the order given", async () => {
    const file = path.join(await tempFolder(), "x.safetensors");
    const tensors: SyntheticTensor[] = [
      { name: "b", dtype: "U8", shape: [3] },
      { name: "a", dtype: "F32", shape: [] },
      { name: "filled", dtype: "F32", shape: [2] },
    ];
    await writeSyntheticSafetensors(file, tensors, { filled: 0.0125 });
    const bytes = await readFile(file);
    const headerLength = Number(bytes.readBigUInt64LE(0));
    expect(headerLength % 8).toBe(0);
    const header = bytes.subarray(8, 8 + headerLength).toString();
    expect(Object.keys(JSON.parse(header))).toEqual(["__metadata__", "b", "a", "filled"]);
    const data = bytes.subarray(8 + headerLength);
    const [b, a] = tensors as [SyntheticTensor, SyntheticTensor];
    const expected = [
      syntheticBytes(b, 0, 3),
      syntheticBytes(a, 0, 1),
      new Uint8Array(new Float32Array(2).fill(0.0125).buffer),
    ];
    expect(data).toEqual(Buffer.concat(expected));
  });

  it("is written in chunks that do not show", async () => {
    const folder = await tempFolder();
    const tensor: SyntheticTensor = { name: "w", dtype: "F16", shape: [1100, 1000] };
    await writeSyntheticCheckpoint(folder, { files: [{ name: "model.safetensors", tensors: [tensor] }] });
    const written = await tensorBytes(await openCheckpoint(folder), "w");
    const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");
    expect(md5(written)).toBe(md5(syntheticBytes(tensor, 0, 1_100_000)));
  });

  it("can be a small llama with its config and index", async () => {
    const folder = await tempFolder();
    await writeSyntheticCheckpoint(folder, llamaCheckpoint(DEMO_SIZES));
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.tensors.size).toBe(2 + 9 * DEMO_SIZES.layers);
    expect(checkpoint.tensors.get("model.embed_tokens.weight")?.shape).toEqual([8192, 256]);
    const config: unknown = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
    expect(config).toMatchObject({ model_type: "llama", hidden_size: 256, num_hidden_layers: 4 });
  });
});
