import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLock } from "../../src/source/lock.ts";
import { tempFolder } from "../support/temp-folder.ts";

async function lockFile(): Promise<string> {
  return path.join(await tempFolder(), "locks", "a.lock");
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

test("waiting ends when it is aborted", async () => {
  const file = await lockFile();
  const held = withLock(file, () => sleep(300));
  await sleep(50);
  const waiting = withLock(file, async () => {}, { signal: AbortSignal.timeout(50) });
  await expect(waiting).rejects.toMatchObject({ code: "E_ABORTED" });
  await held;
});

test("work fails through the lock and gives it back", async () => {
  const file = await lockFile();
  await expect(withLock(file, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await withLock(file, async () => {});
});

test("where no lock can be made the work is done without (T11)", async () => {
  const file = await lockFile();
  await writeFile(path.dirname(file), "no folder");
  expect(await withLock(file, async () => "done")).toBe("done");
});
