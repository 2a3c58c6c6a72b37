import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ggufPartNames, readGguf } from "../../src/checkpoint/gguf.ts";
import { goldenPath } from "../gguf/golden.ts";

const PARTS = ["split-00001-of-00003.gguf", "split-00002-of-00003.gguf", "split-00003-of-00003.gguf"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gguf-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("reading GGUF models", () => {
  it("finds all parts from the name of any of them", async () => {
    expect(ggufPartNames("split-00002-of-00003.gguf")).toEqual(PARTS);
    expect(ggufPartNames("model.Q4_K_M.gguf")).toEqual(["model.Q4_K_M.gguf"]);
    const model = await readGguf(goldenPath("files/split-00002-of-00003.gguf"));
    expect(model.files.map((file) => file.name)).toEqual(PARTS);
    expect([...model.tensors.keys()]).toEqual(Array.from({ length: 8 }, (_, i) => `blk.${i}.x.weight`));
    expect([...model.metadata.keys()]).toEqual(["general.architecture", "general.name", "llama.block_count"]);
    expect(model.tensors.get("blk.4.x.weight")).toMatchObject({ file: 1, shape: [4, 12], dtype: "float32" });
  });

  it("names the dtype of every tensor type that it can compute with", async () => {
    const { tensors } = await readGguf(goldenPath("files/kinds.gguf"));
    expect(tensors.get("t.Q4_K")).toMatchObject({ dtype: "q4_K", shape: [4, 256], nbytes: 576 });
    expect(tensors.get("t.scalar1")).toMatchObject({ dtype: "float32", shape: [1], nbytes: 4 });
  });

  it("refuses a part that is missing, renamed or of another model", async () => {
    const [one = "", two = "", three = ""] = PARTS;
    await copyFile(goldenPath(`files/${one}`), join(folder, one));
    await expect(readGguf(join(folder, one))).rejects.toMatchObject({ code: "E_GGUF_MISSING_PART" });
    await copyFile(goldenPath(`files/${three}`), join(folder, two));
    await copyFile(goldenPath(`files/${three}`), join(folder, three));
    await expect(readGguf(join(folder, one))).rejects.toMatchObject({ code: "E_GGUF_SPLIT" });
    await copyFile(goldenPath(`files/${one}`), join(folder, "alone.gguf"));
    await expect(readGguf(join(folder, "alone.gguf"))).rejects.toThrow("its name does not say so");
    expect(() => ggufPartNames("m-00004-of-00003.gguf")).toThrow("part 4 of 3");
  });

  it("refuses what it cannot compute with, by name", async () => {
    await expect(readGguf(goldenPath("files/big-endian.gguf"))).rejects.toMatchObject({
      code: "E_GGUF_BIG_ENDIAN",
    });
    const header = Buffer.alloc(64 + 66);
    header.write("GGUF");
    header.writeUInt32LE(3, 4);
    header.writeBigUInt64LE(1n, 8);
    header.writeBigUInt64LE(1n, 24);
    header.write("w", 32);
    header.writeUInt32LE(1, 33);
    header.writeBigUInt64LE(256n, 37);
    header.writeUInt32LE(16, 45);
    const path = join(folder, "iq2.gguf");
    await writeFile(path, header);
    await expect(readGguf(path)).rejects.toThrow("w: IQ2_XXS");
  });
});
