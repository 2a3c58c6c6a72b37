import { describe, expect, it } from "vitest";
import { indexFiles } from "../../src/tensor-cache/index-file.ts";
import { layOut, type TensorRecord } from "../../src/tensor-cache/layout.ts";

const METADATA = { paramSize: 1, paramBytes: 24, bitsPerParam: 32 };

function filesFor(tensors: readonly TensorRecord[], legacy: boolean) {
  const results = [{ md5: "0123456789abcdef0123456789abcdef" }];
  return indexFiles({ metadata: METADATA, tensors, layout: layOut(tensors), results }, legacy);
}

const WIDE: TensorRecord = { name: "model.norm.weight", shape: [2, 3], dtype: "float32" };

describe("the index files", () => {
  it("come with tensor-cache.json last, and under the older name if that is wanted", () => {
    const names = (dtype: "float16" | "float32", legacy: boolean): string[] =>
      filesFor([{ ...WIDE, dtype }], legacy).map(({ name }) => name);
    expect(names("float16", false)).toEqual(["tensor-cache.json"]);
    expect(names("float16", true)).toEqual(["ndarray-cache.json", "tensor-cache.json"]);
    expect(names("float32", true)).toEqual([
      "ndarray-cache-b16.json",
      "ndarray-cache.json",
      "tensor-cache-b16.json",
      "tensor-cache.json",
    ]);
  });

  it("are spelled as Python's json.dumps with an indent of 4 spells them", () => {
    const text = filesFor([WIDE], false).at(-1)?.text;
    expect(text).toBe(`{
    "metadata": {
        "ParamSize": 1,
        "ParamBytes": 24.0,
        "BitsPerParam": 32.0
    },
    "records": [
        {
            "dataPath": "params_shard_0.bin",
            "format": "raw-shard",
            "nbytes": 12,
            "records": [
                {
                    "name": "model.norm.weight",
                    "shape": [
                        2,
                        3
                    ],
                    "dtype": "float32",
                    "format": "f32-to-bf16",
                    "nbytes": 12,
                    "byteOffset": 0
                }
            ],
            "md5sum": "0123456789abcdef0123456789abcdef"
        }
    ]
}`);
  });

  it("say in the -b16 index what really lies in the file", () => {
    const [b16] = filesFor([WIDE], false);
    expect(b16?.name).toBe("tensor-cache-b16.json");
    expect(b16?.text).toMatch(/"dtype": "bfloat16",\s+"format": "raw"/);
  });
});
