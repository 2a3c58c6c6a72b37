import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { pruneCache } from "../../src/source/cache-prune.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { convertedFiles, expectFiles, SHARD, WANTED, world } from "./acquire-fixture.ts";
import { checkpointFiles, startHub } from "./hub-fixture.ts";

/** A volume that is another one than that of temporary folders, where this system has one for everybody. */
const ELSEWHERE = "/dev/shm";
const elsewhere = existsSync(ELSEWHERE) && (await stat(ELSEWHERE)).dev !== (await stat(".")).dev;

/** Everything below a folder but folders. */
async function below(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [] : [entry.name]));
}

const slow = { door: "store", match: SHARD, times: 1e9, does: { kind: "status", status: 500 } } as const;

test("unfinished files lie in MLC_TEMP_DIR if it shares the cache's volume, and are continued there", async () => {
  const temp = await tempFolder();
  const { get, hub, home, deps } = await world(checkpointFiles(), { MLC_TEMP_DIR: temp });
  hub.faults = [{ ...slow }, { ...slow, match: "00002", does: { kind: "cut", afterBytes: 70_000 } }];
  await expect(get()).rejects.toThrow();
  expect((await below(temp)).filter((name) => name.endsWith(".incomplete"))).not.toEqual([]);
  expect((await below(home)).filter((name) => name.includes(".incomplete"))).toEqual([]);
  hub.faults = [];
  await expectFiles((await get()).folder, checkpointFiles());
  expect(await below(temp)).toEqual([]);
  expect(deps.events.filter((event) => event.type === "notice")).toEqual([]);
});

test("a converted model's unfinished files lie there too", async () => {
  const temp = await tempFolder();
  const { get, hub } = await world(convertedFiles(), { MLC_TEMP_DIR: temp });
  hub.faults = [{ ...slow, match: "params_shard_1", does: { kind: "cut", afterBytes: 1000 } }];
  await expect(get()).rejects.toThrow();
  expect((await below(temp)).filter((name) => name.endsWith(".incomplete"))).not.toEqual([]);
  hub.faults = [];
  expect((await get()).model).toBe("converted");
  expect(await below(temp)).toEqual([]);
});

test("what was left in MLC_TEMP_DIR is pruned with the rest", async () => {
  const temp = await tempFolder();
  const { get, hub, deps } = await world(checkpointFiles(), { MLC_TEMP_DIR: temp });
  hub.faults = [{ ...slow, does: { kind: "cut", afterBytes: 1000 } }];
  await expect(get()).rejects.toThrow();
  const pruned = await pruneCache({}, {}, deps);
  expect(pruned.filter(({ path: file }) => file.startsWith(temp)).length).toBeGreaterThan(0);
  expect(await below(temp)).toEqual([]);
});

test.skipIf(!elsewhere)(
  "MLC_TEMP_DIR on another volume is not used, because publication is a rename (T23)",
  async () => {
    const temp = await mkdtemp(path.join(ELSEWHERE, "mlc-convert-test-"));
    onTestFinished(() => rm(temp, { recursive: true, force: true }));
    const { get, hub, home, deps } = await world(checkpointFiles(), { MLC_TEMP_DIR: temp });
    hub.faults = [{ ...slow, does: { kind: "cut", afterBytes: 1000 } }];
    await expect(get()).rejects.toThrow();
    expect(await below(temp)).toEqual([]);
    expect((await below(home)).filter((name) => name.endsWith(".incomplete"))).not.toEqual([]);
    expect(deps.events).toContainEqual(
      expect.objectContaining({ type: "notice", message: expect.stringContaining("is not used") }),
    );
    hub.faults = [];
    await expectFiles((await get()).folder, checkpointFiles(), WANTED);
  },
);

test("MLC_TEMP_DIR that cannot be written is not used either", async () => {
  const hub = await startHub(checkpointFiles());
  const { get, deps } = await world(checkpointFiles(), { MLC_TEMP_DIR: "/sys/temp" }, hub);
  await expectFiles((await get()).folder, checkpointFiles());
  expect(deps.events).toContainEqual(
    expect.objectContaining({ type: "notice", message: expect.stringContaining("MLC_TEMP_DIR") }),
  );
});
