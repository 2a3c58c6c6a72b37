import { readFile, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLock } from "../../src/source/lock.ts";
import { temporaryFolder } from "./hub-fixture.ts";

async function lockFile(): Promise<string> {
  return path.join(await temporaryFolder(), "locks", "a.lock");
}

async function foreign(file: string, owner: { host: string; pid: number }): Promise<void> {
  await withLock(file, async () => {});
  await writeFile(file, JSON.stringify({ ...owner, token: "theirs" }));
}

test("two holders never overlap, and the lock is gone afterwards", async () => {
  const file = await lockFile();
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await sleep(20);
    inside--;
  };
  await Promise.all(Array.from({ length: 4 }, () => withLock(file, work)));
  expect(most).toBe(1);
  await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a lock names its owner", async () => {
  const file = await lockFile();
  const text = await withLock(file, () => readFile(file, "utf8"));
  expect(JSON.parse(text)).toMatchObject({ host: os.hostname(), pid: process.pid });
});

test("the lock of a dead process is taken over at once (T10)", async () => {
  const file = await lockFile();
  await foreign(file, { host: os.hostname(), pid: 2 ** 22 + 1 });
  const begun = performance.now();
  await withLock(file, async () => {});
  expect(performance.now() - begun).toBeLessThan(1000);
});

test("the lock of another machine is respected until its heartbeat stops (T10)", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  const waits: unknown[] = [];
  const begun = performance.now();
  await withLock(file, async () => {}, { staleMs: 500, onWait: (owner) => waits.push(owner) });
  expect(performance.now() - begun).toBeGreaterThan(400);
  expect(waits).toEqual([expect.objectContaining({ host: "elsewhere", pid: 1 })]);
});

test("a holder's heartbeat keeps its lock beyond the stale time", async () => {
  const file = await lockFile();
  const order: string[] = [];
  const first = withLock(file, () => sleep(700).then(() => order.push("first")), { staleMs: 300 });
  await sleep(50);
  await withLock(file, async () => order.push("second"), { staleMs: 300 });
  await first;
  expect(order).toEqual(["first", "second"]);
});

test("waiting ends when it is aborted", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  const signal = AbortSignal.timeout(50);
  await expect(withLock(file, async () => {}, { signal })).rejects.toMatchObject({ code: "E_ABORTED" });
});

test("an unreadable lock is stale only by age", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  await writeFile(file, "");
  const past = new Date(Date.now() - 60_000);
  await utimes(file, past, past);
  await withLock(file, async () => {});
});

test("work fails through the lock and gives it back", async () => {
  const file = await lockFile();
  await expect(withLock(file, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await withLock(file, async () => {});
});
