import { createHash } from "node:crypto";
import { lstat, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { expect } from "vitest";
import type { HubServer } from "../../src/hub-server/hub-server.ts";
import { acquire } from "../../src/source/acquire.ts";
import type { SourceOptions } from "../../src/source/options.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { checkpointFiles, noise, QUICK, startHub, type TestDeps, testDeps } from "./hub-fixture.ts";

/** The files of the fixture that a conversion needs. */
export const WANTED: readonly string[] = [
  "config.json",
  "generation_config.json",
  "model-00001-of-00002.safetensors",
  "model-00002-of-00002.safetensors",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
];
export const SHARD: string = "model-00001-of-00002.safetensors";

export interface World {
  readonly hub: HubServer;
  readonly home: string;
  readonly deps: TestDeps;
  readonly get: (options?: SourceOptions, name?: string) => ReturnType<typeof acquire>;
}

export async function world(
  files: Map<string, Buffer> = checkpointFiles(),
  env: Record<string, string> = {},
  hubGiven?: HubServer,
): Promise<World> {
  const hub = hubGiven ?? (await startHub(files));
  const home = await tempFolder();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint, ...env });
  const get = async (options: SourceOptions = {}, name = "org/model") => {
    const all = { download: { timing: QUICK }, ...options };
    return acquire(await resolveSource(name, all, deps), all, deps);
  };
  return { hub, home, deps, get };
}

export async function expectFiles(
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  names: readonly string[] = WANTED,
): Promise<void> {
  for (const name of names)
    expect((await readFile(path.join(folder, name))).equals(files.get(name) ?? Buffer.of())).toBe(true);
  expect((await readdir(folder)).sort()).toEqual([...names].sort());
}

/** Every path below a folder with its size and time, to see that nothing moved. */
export async function fingerprint(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  return Promise.all(
    entries.sort().map(async (name) => {
      const { size, mtimeMs, ino } = await lstat(path.join(folder, name));
      return `${name} ${size} ${mtimeMs} ${ino}`;
    }),
  );
}

export function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}

export function convertedFiles(indexName = "tensor-cache.json"): Map<string, Buffer> {
  const shards = [noise(70_000, 5), noise(50_000, 6)];
  const records = shards.map((bytes, i) => ({
    dataPath: `params_shard_${i}.bin`,
    nbytes: bytes.byteLength,
    md5sum: md5(bytes),
  }));
  return new Map([
    ["mlc-chat-config.json", Buffer.from("{}")],
    [indexName, Buffer.from(JSON.stringify({ metadata: {}, records }))],
    ["tokenizer.json", Buffer.from("{}")],
    ...shards.map((bytes, i) => [`params_shard_${i}.bin`, bytes] as const),
    ["params_shard_9.bin", noise(10)],
  ]);
}
