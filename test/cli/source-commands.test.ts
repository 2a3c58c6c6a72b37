import { readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { registerCache } from "../../src/cli/cache.ts";
import { registerDownload } from "../../src/cli/download.ts";
import { toSourceOptions } from "../../src/cli/source-flags.ts";
import { formatBytes } from "../../src/cli/units.ts";
import { checkpointFiles, startHub, temporaryFolder } from "../source/hub-fixture.ts";

const SHARD = "model-00001-of-00002.safetensors";

async function commandLine() {
  const hub = await startHub(checkpointFiles());
  const home = await temporaryFolder();
  const printed: string[] = [];
  const noted: string[] = [];
  const outside = {
    env: { HF_ENDPOINT: hub.endpoint },
    home,
    platform: process.platform,
    print: (text: string) => printed.push(text),
    note: (text: string) => noted.push(text),
  };
  const run = async (...words: string[]) => {
    printed.length = 0;
    const program = new Command().exitOverride();
    registerDownload(program, outside);
    registerCache(program, outside);
    await program.parseAsync(words, { from: "user" });
    return printed.join("\n");
  };
  return { hub, run, noted };
}

test("download prints the folder and tells progress", async () => {
  const { run, noted } = await commandLine();
  const folder = await run("download", "org/model");
  expect((await readFile(path.join(folder, "config.json"))).byteLength).toBeGreaterThan(0);
  expect(noted.at(-1)).toMatch(/safetensors/);
  expect(noted.some((line) => /of 7 files$/.test(line))).toBe(true);
});

test("download --json gives commit and verified hashes", async () => {
  const { run } = await commandLine();
  const result = JSON.parse(await run("download", "org/model", "--json"));
  expect(result).toMatchObject({ source: "org/model", commit: expect.stringMatching(/^[0-9a-f]{40}$/) });
  expect(result.verified[SHARD]).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("download --dry-run lists files, sizes and what is there, and fetches no weights", async () => {
  const { run, hub } = await commandLine();
  await run("download", "org/model", "--skip-weights");
  const plan = await run("download", "org/model", "--dry-run");
  expect(plan).toMatch(new RegExp(`195\\.\\d KiB {2}fetch {2}${SHARD}`));
  expect(plan).toMatch(/have {3}config\.json/);
  expect(plan).toMatch(/39\d\.\d KiB {2}to fetch of 39\d\.\d KiB/);
  expect(hub.storeBytes).toBe(0);
});

test("cache list, verify and prune work on what was downloaded", async () => {
  const { run } = await commandLine();
  expect(await run("cache", "list")).toBe("no models are cached");
  const folder = await run("download", "org/model");
  expect(await run("cache", "list")).toMatch(/checkpoint {2}org\/model @ main {2}complete/);
  expect(await run("cache", "verify", "org/model")).toMatch(/^sound {2}org\/model {2}7 files/);
  const { size } = await stat(path.join(folder, SHARD));
  await writeFile(path.join(folder, SHARD), Buffer.alloc(size));
  await expect(run("cache", "verify")).rejects.toMatchObject({ code: "E_CACHE_DAMAGED" });
  await rm(path.join(folder, SHARD));
  expect(await run("cache", "list")).toMatch(/incomplete \(model-00001-of-00002\.safetensors: missing\)/);
  expect(await run("cache", "prune", "org/model")).toMatch(/asked for.*\n.*freed/s);
  expect(await run("cache", "list")).toBe("no models are cached");
  await expect(run("cache", "verify", "org/model")).rejects.toMatchObject({ code: "E_NOT_CACHED" });
});

test("flags become options, and numbers are checked", () => {
  expect(toSourceOptions({ token: false, limitRate: "10M", maxFiles: "2" })).toEqual({
    token: false,
    download: { bytesPerSecond: 1e7, files: 2 },
  });
  expect(toSourceOptions({ token: true })).toEqual({ download: {} });
  for (const flags of [{ maxFiles: "0" }, { maxRanges: "x" }, { limitRate: "fast" }]) {
    expect(() => toSourceOptions(flags)).toThrow(expect.objectContaining({ code: "E_OPTION" }));
  }
});

test("bytes are written in the unit that fits", () => {
  expect([0, 999, 1000, 1_234_567, 5e12].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1000 B",
    "1.18 MiB",
    "4.55 TiB",
  ]);
});
