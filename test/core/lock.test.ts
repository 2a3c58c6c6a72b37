import { mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type Lock, type LockOptions, takeLock } from "../../src/core/lock.ts";
import { type Owner, thisProcess } from "../../src/core/owner.ts";
import { tempFolder } from "../support/temp-folder.ts";

const NOBODY = 2 ** 22 + 1;

async function lockFile(): Promise<string> {
  return join(await tempFolder(), "a.lock");
}

/** A lock file as another process would have left it. */
async function foreign(file: string, owner: Owner): Promise<void> {
  await writeFile(file, JSON.stringify({ ...owner, token: "theirs" }));
}

async function taken(file: string, options?: LockOptions): Promise<Lock> {
  const lock = await takeLock(file, options);
  if (typeof lock === "string") throw new Error(`expected the lock, found it ${lock}`);
  return lock;
}

/** Touches a file as a living owner would. */
function beat(file: string, everyMs: number): void {
  const timer = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => {}), everyMs);
  onTestFinished(() => clearInterval(timer));
}

test("a lock names its owner, and is gone when it was given back", async () => {
  const file = await lockFile();
  const lock = await taken(file);
  expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ host: hostname(), pid: process.pid });
  expect(await lock.isHeld()).toBe(true);
  await lock.release();
  await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
});

test("the lock of a dead process is taken over at once (T10)", async () => {
  const file = await lockFile();
  await foreign(file, { ...thisProcess(), pid: NOBODY });
  const begun = performance.now();
  await (await taken(file)).release();
  expect(performance.now() - begun).toBeLessThan(1000);
});

test("the lock of a living process is refused to those who do not wait", async () => {
  const file = await lockFile();
  const first = await taken(file);
  expect(await takeLock(file, { wait: false })).toBe("busy");
  await first.release();
  await (await taken(file, { wait: false })).release();
});

test("a number that passed to another process does not hold a lock for ever (T10)", async () => {
  const file = await lockFile();
  await foreign(file, thisProcess());
  const past = new Date(Date.now() - 60_000);
  await utimes(file, past, past);
  await (await taken(file, { wait: false })).release();
});

test.each([
  ["another machine", { host: "elsewhere", pid: 1 }],
  ["another container of the same host name", { ...thisProcess(), pid: NOBODY, space: "pid:[1]" }],
])("the lock of %s is respected until its heartbeat stops (T10)", async (_name, owner) => {
  const file = await lockFile();
  await foreign(file, owner);
  const waits: unknown[] = [];
  const begun = performance.now();
  const lock = await taken(file, { staleMs: 500, wait: false, onWait: (other) => waits.push(other) });
  expect(performance.now() - begun).toBeGreaterThan(400);
  expect(waits).toEqual([expect.objectContaining(owner)]);
  await lock.release();
});

test("clocks that differ by minutes neither lose nor keep a lock", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  const slow = () => new Date(Date.now() - 600_000);
  await utimes(file, slow(), slow());
  const timer = setInterval(() => void utimes(file, slow(), slow()).catch(() => {}), 100);
  onTestFinished(() => clearInterval(timer));
  expect(await takeLock(file, { staleMs: 500, wait: false })).toBe("busy");
  clearInterval(timer);
  await (await taken(file, { staleMs: 500, wait: false })).release();
});

test("a holder's heartbeat keeps its lock beyond the stale time", async () => {
  const file = await lockFile();
  const first = await taken(file, { staleMs: 300 });
  await sleep(700);
  expect(await takeLock(file, { staleMs: 300, wait: false })).toBe("busy");
  expect(first.lost.aborted).toBe(false);
  await first.release();
});

test("who loses a lock is told, and does not take away the other's", async () => {
  const file = await lockFile();
  const lock = await taken(file, { staleMs: 300 });
  await foreign(file, { host: "elsewhere", pid: 1 });
  await expect.poll(() => lock.lost.aborted, { timeout: 2000 }).toBe(true);
  expect(await lock.isHeld()).toBe(false);
  await lock.release();
  expect(await readFile(file, "utf8")).toContain("theirs");
});

test("of many who find the same dead lock one gets it at a time", async () => {
  const file = await lockFile();
  await foreign(file, { ...thisProcess(), pid: NOBODY });
  let inside = 0;
  let most = 0;
  const work = async () => {
    const lock = await taken(file);
    most = Math.max(most, ++inside);
    await sleep(5);
    inside--;
    await lock.release();
  };
  await Promise.all(Array.from({ length: 12 }, work));
  expect(most).toBe(1);
  expect(await readdir(join(file, ".."))).toEqual([]);
});

test("a waiter is told of the owner who writes a name just after making the file, and only once", async () => {
  const file = await lockFile();
  await writeFile(file, "");
  const waits: (Owner | undefined)[] = [];
  const waiting = taken(file, { onWait: (owner) => waits.push(owner) });
  await foreign(file, thisProcess());
  await sleep(300);
  expect(waits).toMatchObject([{ pid: process.pid }]);
  await rm(file);
  await (await waiting).release();
});

test("a lock that says nothing is taken over when it does not move", async () => {
  const file = await lockFile();
  await writeFile(file, "");
  await (await taken(file, { wait: false })).release();
  await mkdir(file);
  await (await taken(file, { staleMs: 300 })).release();
});

test("an owner that lives on another machine is busy, not waited for to the end", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  beat(file, 50);
  const begun = performance.now();
  expect(await takeLock(file, { wait: false })).toBe("busy");
  expect(performance.now() - begun).toBeLessThan(2000);
});

test("waiting ends with the signal's reason", async () => {
  const file = await lockFile();
  await foreign(file, { host: "elsewhere", pid: 1 });
  const reason = new Error("enough");
  const stop = new AbortController();
  setTimeout(() => stop.abort(reason), 50);
  await expect(takeLock(file, { signal: stop.signal })).rejects.toBe(reason);
});

test("where no file can be made there is no lock", async () => {
  const file = await lockFile();
  expect(await takeLock(join(file, "below", "nothing.lock"))).toBe("impossible");
});
