import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { createJob, type NativeJob } from "../../src/native/addon.ts";
import { type CopyWork, copyWork, shardOf } from "../support/copy-work.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SMALL = 64 * 1024;
/** So much that a job of it still runs when a busy machine gets round to stopping it. */
const LARGE = 4 * 1024 * 1024;
const SHARDS = 200;

const prepare = (nbytes = SMALL): Promise<CopyWork> => copyWork(nbytes);

function openJob(work: CopyWork): NativeJob {
  const job = createJob(work.options);
  for (let id = 0; id < SHARDS; id++) job.addShard(shardOf(work, id));
  return job;
}

/** What a thread does: loads the addon for itself, runs jobs without end or once, and tells of every one. */
const THREAD = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { Job } = require(workerData.root + "/node_modules/node-gyp-build")(workerData.root);
  const { options, shards, once } = workerData;
  (async () => {
    do {
      const job = new Job(options);
      for (const shard of shards) job.addShard(shard);
      const digests = [];
      const running = job.start((id, md5) => digests.push(md5));
      parentPort.postMessage("started");
      await running;
      parentPort.postMessage(digests);
    } while (!once);
  })();`;

function startThread(work: CopyWork, once: boolean): Worker {
  const { options } = work;
  const shards = Array.from({ length: SHARDS }, (_, id) => shardOf(work, id));
  return new Worker(THREAD, { eval: true, workerData: { root: ROOT, options, shards, once } });
}

async function runHere(work: CopyWork): Promise<readonly string[]> {
  const digests: string[] = [];
  await openJob(work).start((_, md5) => digests.push(md5));
  return digests;
}

describe("the addon in several environments of one process", () => {
  it("runs jobs in all of them at once", async () => {
    const work = await prepare();
    const threads = Array.from({ length: 3 }, () => startThread(work, true));
    const results = threads.map(async (thread) => {
      const messages: unknown[] = [];
      thread.on("message", (message) => messages.push(message));
      await once(thread, "exit");
      return messages.at(-1);
    });
    const expected = Array.from({ length: SHARDS }, () => work.md5);
    expect(await runHere(work)).toEqual(expected);
    for (const digests of await Promise.all(results)) expect(digests).toEqual(expected);
  });

  it("survives threads that are ended while their jobs run", async () => {
    const work = await prepare();
    for (let round = 0; round < 8; round++) {
      const threads = [startThread(work, false), startThread(work, false)];
      await Promise.all(threads.map((thread) => once(thread, "message")));
      await sleep(round);
      await Promise.all(threads.map((thread) => thread.terminate()));
    }
    expect(await runHere(work)).toHaveLength(SHARDS);
  });

  it("stops a job in flight, and one that has not begun to run", async () => {
    const work = await prepare(LARGE);
    for (let round = 0; round < 20; round++) {
      const job = openJob(work);
      const running = job.start(() => job.cancel());
      if (round % 2 === 0) job.cancel();
      await expect(running).rejects.toMatchObject({ code: "E_ABORTED" });
    }
  });

  it("keeps jobs that run and frees those that nobody holds, whenever memory is collected", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const work = await prepare();
    const digests: string[] = [];
    const running = Array.from({ length: 8 }, () => {
      openJob(work);
      return openJob(work).start((_, md5) => digests.push(md5));
    });
    const timer = setInterval(collect, 1);
    await Promise.all(running);
    clearInterval(timer);
    collect();
    expect(digests).toEqual(Array.from({ length: 8 * SHARDS }, () => work.md5));
  });
});
