import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, truncate } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createJob, listBackends } from "../../src/native/addon.ts";
import { copyWork, shardOf } from "../support/copy-work.ts";
import { tempFolder } from "../support/temp-folder.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const NBYTES = 1024 * 1024 + 1000;
const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));

/** Windows lets nobody write to a file that is being read. */
describe.skipIf(process.platform === "win32")("a source that changes while it is read", () => {
  const kept = [0, 5000, NBYTES / 2, NBYTES - 1];
  const ways = [
    { way: "hashed", map: true, output: "" },
    { way: "copied", map: true, output: "copy" },
    { way: "read in pieces", map: false, output: "copy" },
  ];
  for (const { way, map, output } of ways) {
    it.each(kept)(`is told, with what is left of it, %i bytes, ${way}`, async (left) => {
      for (const backend of BACKENDS) {
        const work = await copyWork(NBYTES);
        const target = output === "" ? "" : join(await tempFolder(), output);
        const job = createJob({ ...work.options, backend, map });
        for (let id = 0; id < 8; id++) job.addShard(shardOf(work, id, target && `${target}-${id}`));
        await truncate(work.path, left);
        await expect(job.start(() => {})).rejects.toMatchObject({
          code: "E_SOURCE_CHANGED",
          message: `${work.path}: expected ${NBYTES} bytes, found ${left}`,
        });
      }
    });
  }

  it.each([true, false])("is told when it is as long as before, but another, mapped: %s", async (map) => {
    const work = await copyWork(NBYTES);
    const job = createJob({ ...work.options, map });
    job.addShard(shardOf(work, 0));
    const file = await open(work.path, "r+");
    await file.write("other");
    await file.close();
    await expect(job.start(() => {})).rejects.toMatchObject({
      code: "E_SOURCE_CHANGED",
      message: `${work.path}: was written to while it was read`,
    });
  });

  it("does not make later jobs fail", async () => {
    const work = await copyWork(NBYTES);
    const digests: string[] = [];
    for (let round = 0; round < 3; round++) {
      const job = createJob(work.options);
      job.addShard(shardOf(work, round));
      await job.start((_, md5) => digests.push(md5));
    }
    expect(digests).toEqual([work.md5, work.md5, work.md5]);
  });
});

/** Maps a file in a thread, which takes the addon along when it ends, or in the process itself; then waits. */
const PROCESS = `
  const { Worker } = require("node:worker_threads");
  const [options, where] = JSON.parse(process.argv.at(-1));
  const map = "new (require(" + JSON.stringify(where.require) + ")(" + JSON.stringify(where.root) + ").Job)("
    + JSON.stringify(options) + ")";
  const ready = () => { console.log("ready"); setInterval(() => {}, 1000); };
  if (where.thread) new Worker(map, { eval: true }).on("exit", ready);
  else { globalThis.job = eval(map); ready(); }`;

describe.skipIf(process.platform === "win32")("SIGBUS that is none of a source's", () => {
  it.each([false, true])("ends a process as ever, the addon being there, or gone: %s", async (thread) => {
    const { options } = await copyWork(NBYTES);
    const where = { root: ROOT, require: createRequire(import.meta.url).resolve("node-gyp-build"), thread };
    const child = spawn(process.execPath, ["-e", PROCESS, JSON.stringify([options, where])]);
    await once(child.stdout, "data");
    child.kill("SIGBUS");
    expect(await once(child, "exit")).toEqual([null, "SIGBUS"]);
  });
});
