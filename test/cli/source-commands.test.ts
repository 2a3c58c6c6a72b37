import { readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { toSourceOptions } from "../../src/cli/source-flags.ts";
import { formatBytes } from "../../src/cli/units.ts";
import { checkpointFiles, startHub } from "../source/hub-fixture.ts";
import { jsonLines, runCli } from "../support/cli.ts";
import { tempFolder } from "../support/temp-folder.ts";

const SHARD = "model-00001-of-00002.safetensors";

/** Runs commands with a hub and a home of their own. */
async function commandLine() {
  const hub = await startHub(checkpointFiles());
  const home = await tempFolder();
  const env = { HF_ENDPOINT: hub.endpoint, HOME: home, MLC_LLM_HOME: path.join(home, "mlc"), HF_HOME: home };
  const run = (...words: string[]) => runCli(words, { env });
  const result = async (...words: string[]) => {
    const { code, stdout, stderr } = await run(...words);
    expect(code, stderr).toBe(0);
    return stdout.trimEnd();
  };
  return { hub, run, result };
}

test("download prints the folder and tells progress", async () => {
  const { run } = await commandLine();
  const { code, stdout, stderr } = await run("download", "org/model");
  expect(code, stderr).toBe(0);
  expect((await readFile(path.join(stdout.trim(), "config.json"))).byteLength).toBeGreaterThan(0);
  expect(stderr).toMatch(/note .*safetensors/);
  expect(stderr).toMatch(/of 7 files$/m);
  expect((await run("download", "org/model", "--quiet")).stderr).toBe("");
});

test("download --json gives events and, last, commit and verified hashes", async () => {
  const { result } = await commandLine();
  const lines = jsonLines(await result("download", "org/model", "--json"));
  expect(lines[0]).toEqual({ type: "phase", phase: "resolve" });
  expect(lines.at(-1)).toMatchObject({
    type: "result",
    source: "org/model",
    commit: expect.stringMatching(/^[0-9a-f]{40}$/),
    verified: { [SHARD]: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
  });
});

test("a refusal is an error line with code and hint, and an exit code", async () => {
  const { run } = await commandLine();
  const { code, stderr } = await run("download", "org/nothing");
  expect(code).toBe(3);
  expect(stderr).toMatch(/^error .*org\/nothing.*\[E_HUB_NO_REPOSITORY\]$/m);
  expect(stderr).toMatch(/^hint /m);
  const { stdout } = await run("download", "org/nothing", "--json");
  expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "error", error: { code: "E_HUB_NO_REPOSITORY" } });
});

test("download --dry-run lists files, sizes and what is there, and fetches no weights", async () => {
  const { result, hub } = await commandLine();
  await result("download", "org/model", "--skip-weights");
  const plan = await result("download", "org/model", "--dry-run");
  expect(plan).toMatch(new RegExp(`195\\.\\d KiB {2}fetch {2}${SHARD}`));
  expect(plan).toMatch(/have {3}config\.json/);
  expect(plan).toMatch(/39\d\.\d KiB {2}to fetch of 39\d\.\d KiB/);
  expect(hub.storeBytes).toBe(0);
});

test("cache list, verify and prune work on what was downloaded", { timeout: 120_000 }, async () => {
  const { run, result } = await commandLine();
  expect(await result("cache", "list")).toBe("no models are cached");
  const folder = await result("download", "org/model");
  expect(await result("cache", "list")).toMatch(/checkpoint {2}org\/model @ main {2}complete/);
  expect(jsonLines(await result("cache", "list", "--json"))).toEqual([
    expect.objectContaining({ type: "result", entries: [expect.objectContaining({ repo: "org/model" })] }),
  ]);
  expect(await result("cache", "verify", "org/model")).toMatch(/^sound {2}org\/model {2}7 files/);
  const { size } = await stat(path.join(folder, SHARD));
  await writeFile(path.join(folder, SHARD), Buffer.alloc(size));
  expect(await run("cache", "verify")).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/^damaged/),
    stderr: expect.stringContaining("[E_CACHE_DAMAGED]"),
  });
  await rm(path.join(folder, SHARD));
  expect(await result("cache", "list")).toMatch(/incomplete \(model-00001-of-00002\.safetensors: missing\)/);
  expect(await result("cache", "prune", "org/model")).toMatch(/asked for.*\n.*freed/s);
  expect(await result("cache", "list")).toBe("no models are cached");
  expect((await run("cache", "verify", "org/model")).stderr).toContain("E_NOT_CACHED");
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
