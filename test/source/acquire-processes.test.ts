import { spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { SourceOptions } from "../../src/source/options.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { checkpointFiles, safetensors, startHub } from "./hub-fixture.ts";

const CHILD = fileURLToPath(new URL("acquire-child.mjs", import.meta.url));
const BUILT = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
/** `npm run soak` does it with 500 MB. */
const MEGABYTES = Number(process.env.MLC_CONVERT_KILL_MB ?? 40);
const KILLS = Number(process.env.MLC_CONVERT_KILLS ?? 20);
const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;

interface Run {
  readonly code: number | null;
  readonly folder: string;
  readonly errors: string;
}

/** Runs one process; it is killed without warning when `end` comes, or when it says that it is done. */
async function runChild(
  endpoint: string,
  home: string,
  options: SourceOptions,
  end?: Promise<void> | "at its report",
): Promise<Run> {
  expect(existsSync(BUILT), "run `npm run build:ts` first").toBe(true);
  const argument = JSON.stringify({ home, env: { HF_ENDPOINT: endpoint }, model: "org/model", options });
  const child = spawn(process.execPath, [CHILD, argument], { stdio: ["ignore", "pipe", "pipe"] });
  const output: string[] = [];
  const errors: string[] = [];
  child.stdout.on("data", (data: Buffer) => {
    output.push(data.toString());
    if (end === "at its report") child.kill("SIGKILL");
  });
  child.stderr.on("data", (data: Buffer) => errors.push(data.toString()));
  if (typeof end === "object") void end.then(() => child.kill("SIGKILL"));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const { folder = "" } = output.length > 0 ? (JSON.parse(output.join("")) as { folder: string }) : {};
  return { code, folder, errors: errors.join("") };
}

function bigCheckpoint(megabytes: number): Map<string, Buffer> {
  const files = checkpointFiles(10);
  for (const name of SHARDS) {
    const shard = safetensors(
      [name === SHARDS[0] ? "a.weight" : "b.weight"],
      (megabytes * 1_000_000) / 2 / 4 || 1,
    );
    randomFillSync(shard, 200);
    files.set(name, shard);
  }
  return files;
}

test(`killed ${KILLS} times in ${MEGABYTES} MB and resumed, files are right and little is fetched twice`, {
  timeout: 600_000,
}, async () => {
  const files = bigCheckpoint(MEGABYTES);
  const size = SHARDS.reduce((sum, name) => sum + (files.get(name)?.byteLength ?? 0), 0);
  const hub = await startHub(files, { bandwidth: { bytesPerSecond: size / 4, penaltyPerConnection: 0 } });
  const home = await tempFolder();
  const rangeBytes = Math.ceil(size / 2048);
  const options = { download: { files: 2, ranges: 4, rangeBytes } };
  for (let kills = 0; kills < KILLS; kills++) {
    const before = hub.storeBytes;
    const sends = waitUntil(() => hub.storeBytes > before);
    const run = await runChild(
      hub.endpoint,
      home,
      options,
      sends.then(() => sleep(Math.random() * 200)),
    );
    expect(run.code, run.errors).toBe(null);
  }
  const last = await runChild(hub.endpoint, home, options);
  expect(last.errors).toBe("");
  for (const name of SHARDS) await expectContent(path.join(last.folder, name), files.get(name));
  expect(hub.storeBytes - size).toBeLessThanOrEqual(KILLS * 8 * rangeBytes);
  expect(await partsBelow(home)).toEqual([]);
});

test.each([
  ["one after the other where locks work", true],
  ["each on its own where locks do not work (T11)", false],
])("four processes get one right copy, %s", { timeout: 120_000 }, async (_name, locks) => {
  const files = bigCheckpoint(4);
  const size = SHARDS.reduce((sum, name) => sum + (files.get(name)?.byteLength ?? 0), 0);
  const hub = await startHub(files, { bandwidth: { bytesPerSecond: 8e6, penaltyPerConnection: 0 } });
  const home = await tempFolder();
  await mkdir(path.join(home, ".cache/mlc_llm/hub"), { recursive: true });
  if (!locks) await writeFile(path.join(home, ".cache/mlc_llm/hub/.locks"), "no folder");
  const runs = await Promise.all(Array.from({ length: 4 }, () => runChild(hub.endpoint, home, {})));
  expect(runs.map((run) => run.errors)).toEqual(runs.map(() => ""));
  for (const name of SHARDS) await expectContent(path.join(runs[0]?.folder ?? "", name), files.get(name));
  if (locks) expect(hub.storeBytes).toBe(size);
  expect(await partsBelow(home)).toEqual([]);
});

test("a process killed in the moment it reports success leaves complete, flushed files (T22)", async () => {
  const files = bigCheckpoint(8);
  const hub = await startHub(files);
  const home = await tempFolder();
  const { folder, code } = await runChild(hub.endpoint, home, {}, "at its report");
  expect(code).toBe(null);
  expect(await partsBelow(home)).toEqual([]);
  const sent = hub.storeBytes;
  expect((await runChild(hub.endpoint, home, {})).folder).toBe(folder);
  expect(hub.storeBytes).toBe(sent);
  for (const name of SHARDS) await expectContent(path.join(folder, name), files.get(name));
});

async function expectContent(file: string, content: Buffer | undefined): Promise<void> {
  expect(content !== undefined && (await readFile(file)).equals(content)).toBe(true);
}

async function partsBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).filter((name) =>
    /\.(incomplete|journal|lock)$/.test(name),
  );
}

async function waitUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
