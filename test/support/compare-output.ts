import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { GoldenConversion } from "./golden-case.ts";

const md5 = (bytes: Uint8Array | string): string => createHash("md5").update(bytes).digest("hex");

/** Compares an output folder with a recorded one: every file, every byte, every line of the index. */
export async function compareOutput(output: string, expected: GoldenConversion): Promise<void> {
  if ("error" in expected) throw new Error("upstream refused this conversion");
  const index = await readFile(join(output, "tensor-cache.json"), "utf8");
  const { records } = JSON.parse(index) as {
    records: {
      dataPath: string;
      nbytes: number;
      md5sum: string;
      records: { name: string; dtype: string; shape: number[]; byteOffset: number; nbytes: number }[];
    }[];
  };
  const tensors = await Promise.all(
    records.map(async ({ dataPath, nbytes, md5sum, records: inside }) => {
      const bytes = await readFile(join(output, dataPath));
      expect(md5(bytes)).toBe(md5sum);
      const listed = inside.map(({ name, dtype, shape, byteOffset, nbytes: size }) => {
        return [name, dtype, shape, byteOffset, size, md5(bytes.subarray(byteOffset, byteOffset + size))];
      });
      return [dataPath, nbytes, md5sum, listed];
    }),
  );
  expect(tensors).toEqual(expected.shards);
  expect(/"metadata": (\{[^}]*\})/.exec(index)?.[1]?.replace(/\s+/g, " ")).toBe(expected.metadata);
  expect(md5(index)).toBe(expected.tensorCacheMd5);
  expect((await readdir(output)).sort()).toEqual([...expected.files].sort());
  if (expected.tensorCacheB16Md5) {
    expect(md5(await readFile(join(output, "tensor-cache-b16.json")))).toBe(expected.tensorCacheB16Md5);
  }
}
