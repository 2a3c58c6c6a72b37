import { appendFile, open, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../../src/convert.ts";
import { verify } from "../../src/verify.ts";
import { failureOf } from "../support/failure-of.ts";
import { writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

interface Index {
  records: {
    dataPath: string;
    nbytes: number;
    md5sum: string;
    records: { name: string; dtype: string; nbytes: number; byteOffset: number }[];
  }[];
}

async function converted(): Promise<string> {
  const folder = await tempFolder();
  const output = join(folder, "out");
  const model = await writeModel(folder);
  await convert({
    model,
    output,
    quantization: "q4f16_1",
    sync: false,
    weightsOnly: true,
    legacyIndex: false,
  });
  return output;
}

/** Problems that verify finds after `damage` was done to the folder. */
async function problemsAfter(damage: (folder: string) => Promise<void>): Promise<string> {
  const folder = await converted();
  await damage(folder);
  return (await verify(folder)).faults.map(({ file, problem }) => `${file}: ${problem}`).join("\n");
}

/** Damage to the index's first shard record. */
const indexEdit = (edit: (shard: Index["records"][number]) => void) => async (folder: string) => {
  const path = join(folder, "tensor-cache.json");
  const index = JSON.parse(await readFile(path, "utf8")) as Index;
  edit(index.records[0] as Index["records"][number]);
  await writeFile(path, JSON.stringify(index));
};

type Shard = Index["records"][number];
const first = (shard: Shard): Shard["records"][number] => shard.records[0] as Shard["records"][number];
const SHARD = "params_shard_0.bin";

describe("verify", () => {
  it("finds nothing wrong with what was just converted, and counts it", async () => {
    expect(await verify(await converted())).toMatchObject({
      index: "tensor-cache.json",
      shards: 1,
      faults: [],
    });
  });

  it.each<[string, (folder: string) => Promise<void>, RegExp]>([
    ["a missing shard", (folder) => rm(join(folder, SHARD)), /params_shard_0\.bin: the file is missing/],
    [
      "a shard that was cut off",
      (folder) => truncate(join(folder, SHARD), 100),
      /expected \d+ bytes, found 100/,
    ],
    [
      "a shard that has grown",
      (folder) => appendFile(join(folder, SHARD), "x"),
      /expected \d+ bytes, found \d+/,
    ],
    [
      "one changed byte",
      async (folder) => {
        const file = await open(join(folder, SHARD), "r+");
        await file.write(new Uint8Array([7]), 0, 1, 4321);
        await file.close();
      },
      /expected MD5 [0-9a-f]{32}, found [0-9a-f]{32}/,
    ],
    [
      "a tensor that is listed twice",
      indexEdit(({ records }) => records.push({ ...first({ records } as Shard) })),
      /listed twice/,
    ],
    [
      "a hole",
      indexEdit((shard) => {
        first(shard).byteOffset += 2;
      }),
      /expected at byte 0, found at 2/,
    ],
    [
      "a wrong size",
      indexEdit((shard) => {
        first(shard).nbytes -= 1;
      }),
      /expected \d+ bytes, found \d+/,
    ],
    [
      "an unknown dtype",
      indexEdit((shard) => {
        first(shard).dtype = "float7";
      }),
      /unknown dtype float7/,
    ],
    [
      "a path that leaves the folder",
      indexEdit((shard) => {
        shard.dataPath = "../x.bin";
      }),
      /leaves the folder/,
    ],
    [
      "an absolute path",
      indexEdit((shard) => {
        shard.dataPath = "/etc/passwd";
      }),
      /leaves the folder/,
    ],
  ])("finds %s", async (_, damage, expected) => {
    expect(await problemsAfter(damage)).toMatch(expected);
  });

  it("reads the index of an older repository", async () => {
    const folder = await converted();
    await rename(join(folder, "tensor-cache.json"), join(folder, "ndarray-cache.json"));
    expect(await verify(folder)).toMatchObject({ index: "ndarray-cache.json", faults: [] });
  });

  it("refuses a folder without an index, and an index that is none", async () => {
    const folder = await tempFolder();
    expect(await failureOf(() => verify(folder))).toMatchObject({
      name: "OutputError",
      code: "E_INDEX_MISSING",
    });
    for (const text of [
      "{",
      "[]",
      '{"records": {}}',
      '{"records": [1]}',
      '{"records": [{"records": [], "nbytes": -1}]}',
    ]) {
      await writeFile(join(folder, "tensor-cache.json"), text);
      expect(await failureOf(() => verify(folder))).toMatchObject({ code: "E_INDEX_MALFORMED" });
    }
  });
});
