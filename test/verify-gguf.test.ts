import { open, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { verify } from "../src/verify.ts";
import { goldenPath } from "./gguf/golden.ts";
import { jsonLines, runCli } from "./support/cli.ts";
import { tempFolder } from "./support/temp-folder.ts";

const OPTIONS = { format: "gguf", quantization: "Q4_K_M", sync: false, threads: 2 } as const;

/** Writes the golden llama as GGUF into a folder, in one file or in parts. */
async function written(splitMaxSize?: number): Promise<{ folder: string; files: readonly string[] }> {
  const folder = join(await tempFolder(), "out");
  const split = splitMaxSize === undefined ? {} : { splitMaxSize };
  await convert({ ...OPTIONS, ...split, model: goldenPath("files/tiny-llama.gguf"), output: folder });
  const files = (await readdir(folder)).filter((name) => name.endsWith(".gguf")).sort();
  return { folder, files };
}

async function flip(path: string, at: number): Promise<void> {
  const handle = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  await handle.close();
}

describe("verifying GGUF", () => {
  it("finds a folder sound that is as it was written, whole or in parts", async () => {
    const whole = await written();
    const parts = await written(20_000);
    expect(parts.files.length).toBeGreaterThan(2);
    for (const { folder, files } of [whole, parts]) {
      const { faults, notices, tensors, shards } = await verify(folder);
      expect({ faults, notices, shards }).toEqual({ faults: [], notices: [], shards: files.length });
      expect(tensors).toBeGreaterThan(10);
      expect((await verify(join(folder, files[0] ?? ""))).faults).toEqual([]);
    }
  });

  it("finds every single byte that changed: header, weights, padding", async () => {
    const { folder, files } = await written();
    const path = join(folder, files[0] ?? "");
    const { size } = await stat(path);
    // Every 97th byte, and the last ones.
    const places = [...Array.from({ length: Math.floor(size / 97) }, (_, i) => i * 97), size - 1, size - 33];
    for (const at of places.filter((_, i) => i % 40 === 0 || i > places.length - 4)) {
      await flip(path, at);
      expect.soft((await verify(folder)).faults.length, `byte ${at}`).toBeGreaterThan(0);
      await flip(path, at);
    }
    expect((await verify(folder)).faults).toEqual([]);
  });

  it("finds missing and short files", async () => {
    const { folder, files } = await written(20_000);
    await truncate(join(folder, files[1] ?? ""), 100);
    expect((await verify(folder)).faults.map(({ problem }) => problem).join()).toMatch(
      /expected \d+ bytes, found 100/,
    );
    await rm(join(folder, files[1] ?? ""));
    expect((await verify(folder)).faults).toContainEqual({ file: files[1], problem: "the file is missing" });
  });

  it("says of a single file what it could not check", async () => {
    const { folder, files } = await written();
    await rm(join(folder, "gguf-index.json"));
    const path = join(folder, files[0] ?? "");
    const { code, stdout } = await runCli(["verify", path, "--json"]);
    expect(code).toBe(0);
    expect(jsonLines(stdout).at(-1)).toMatchObject({
      faults: [],
      notices: [expect.stringMatching(/tensors' bytes could not be/)],
    });
    const { size } = await stat(path);
    await truncate(path, size - 5000);
    const cut = await runCli(["verify", path]);
    expect(cut.code).toBe(1);
    expect(cut.stdout).toMatch(/^1 fault$/m);
  });

  it("refuses an index that is none", async () => {
    const { folder } = await written();
    for (const text of ["{", "{}", '{"version":1,"files":[{"name":"../x","nbytes":1,"segments":[]}]}']) {
      await writeFile(join(folder, "gguf-index.json"), text);
      await expect(verify(folder)).rejects.toMatchObject({ code: "E_GGUF_INDEX" });
    }
  });
});
