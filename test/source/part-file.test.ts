import { readdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { type OpenRaw, openOnDisk } from "../../src/source/disk.ts";
import { cleanParts, PartFile } from "../../src/source/part-file.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { noise } from "./hub-fixture.ts";

const identity = { origin: "org/model@c/f", size: 1000, hash: "sha256:ab" };

/** A disk that loses, at a crash, every byte that was written and not flushed since. */
function lossyDisk(): { open: OpenRaw; crash: () => Promise<void> } {
  const lost: { file: string; start: number; nbytes: number }[] = [];
  const open: OpenRaw = async (file, flags) => {
    const raw = await openOnDisk(file, flags);
    return {
      ...raw,
      writev: async (buffers, position) => {
        const nbytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
        lost.push({ file, start: position, nbytes });
        return raw.writev(buffers, position);
      },
      datasync: async () => {
        for (let i = lost.length - 1; i >= 0; i--) if (lost[i]?.file === file) lost.splice(i, 1);
        await raw.datasync();
      },
    };
  };
  const crash = async () => {
    for (const { file, start, nbytes } of lost) {
      const raw = await openOnDisk(file, "r+");
      await raw.writev([Buffer.alloc(nbytes)], start);
      await raw.close();
    }
  };
  return { open, crash };
}

async function makeOwnerDead(folder: string): Promise<void> {
  const [name] = (await readdir(folder)).filter((entry) => entry.endsWith(".journal"));
  const journal = path.join(folder, name ?? "");
  const text = await readFile(journal, "utf8");
  await writeFile(journal, text.replace(/"pid":\d+/, `"pid":${2 ** 22 + 1}`));
}

test("after a crash exactly the unflushed ranges are missing (T2)", async () => {
  const folder = await tempFolder();
  const disk = lossyDisk();
  const bytes = noise(1000);
  const part = await PartFile.open({ folder, stem: "x", identity, open: disk.open });
  await part.write(0, [bytes.subarray(0, 100)]);
  await part.write(500, [bytes.subarray(500, 600)]);
  await part.flush();
  await part.write(100, [bytes.subarray(100, 200)]);
  await disk.crash();
  await makeOwnerDead(folder);
  const again = await PartFile.open({ folder, stem: "x", identity });
  expect(again.written.list()).toEqual([
    [0, 100],
    [500, 600],
  ]);
  const content = await readFile(again.path);
  expect(content.subarray(0, 100).equals(bytes.subarray(0, 100))).toBe(true);
  expect(content.subarray(500, 600).equals(bytes.subarray(500, 600))).toBe(true);
  await again.leave();
});

test("an ETag noted in the middle does not make unflushed bytes count as kept", async () => {
  const folder = await tempFolder();
  const part = await PartFile.open({ folder, stem: "x", identity });
  await part.write(0, [noise(100)]);
  await part.setEtag('"e"');
  await makeOwnerDead(folder);
  const again = await PartFile.open({ folder, stem: "x", identity });
  expect(again.written.nbytes).toBe(0);
  expect(again.etag).toBe('"e"');
  await again.leave();
});

test("flushes that are asked for together are shared, and none is lost", async () => {
  const folder = await tempFolder();
  const part = await PartFile.open({ folder, stem: "x", identity });
  for (let i = 0; i < 10; i++) {
    await part.write(i * 100, [noise(100)]);
    if (i % 2 === 0) void part.flush();
  }
  await part.flush();
  await part.leave();
  const again = await PartFile.open({ folder, stem: "x", identity });
  expect(again.resumed).toBe(1000);
  await again.leave();
});

test("interrupted attempts do not pile up (T24)", async () => {
  const folder = await tempFolder();
  for (let i = 0; i < 10; i++) {
    const part = await PartFile.open({ folder, stem: "x", identity });
    await part.write(i * 100, [noise(100)]);
    await part.leave();
  }
  expect(await readdir(folder)).toHaveLength(2);
});

test("parts of the dead go after a day; parts of the living and of others stay", async () => {
  const folder = await tempFolder();
  const live = await PartFile.open({ folder, stem: "live", identity });
  const dead = await PartFile.open({ folder, stem: "dead", identity: { ...identity, origin: "other" } });
  await dead.leave();
  await writeFile(path.join(folder, "blob"), "");
  expect(await cleanParts(folder, Date.now())).toBe(0);
  const past = new Date(Date.now() - 90_000_000);
  for (const name of await readdir(folder)) {
    if (!name.startsWith("live")) await utimes(path.join(folder, name), past, past);
  }
  await cleanParts(folder, Date.now());
  expect((await readdir(folder)).filter((name) => !name.startsWith("live"))).toEqual(["blob"]);
  await live.leave();
});

test("a process killed right after it took a part over loses nothing", async () => {
  const folder = await tempFolder();
  const part = await PartFile.open({ folder, stem: "x", identity });
  await part.write(0, [noise(100)]);
  await part.leave();
  const [journal] = (await readdir(folder)).filter((name) => name.endsWith(".journal"));
  await rename(path.join(folder, journal ?? ""), path.join(folder, "x.11111111.incomplete.journal"));
  await makeOwnerDead(folder);
  const again = await PartFile.open({ folder, stem: "x", identity });
  expect(again.resumed).toBe(100);
  await again.leave();
});
