import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import type { TensorInfo } from "../../src/core/tensor-info.ts";
import { encodeShard } from "../../src/execute/program.ts";
import { createJob, type JobOptions, type NativeJob } from "../../src/native/addon.ts";
import { evaluate } from "../../src/plan/value.ts";
import { tempFolder } from "../support/temp-folder.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SMALL = 64 * 1024;
/** So much that a job of it still runs when a busy machine gets round to stopping it. */
const LARGE = 4 * 1024 * 1024;
const SHARDS = 200;

/** A file, and a job that hashes it `SHARDS` times in pieces of the same bytes. */
interface Work {
  readonly nbytes: number;
  readonly options: JobOptions;
  readonly program: Float64Array;
  readonly md5: string;
}

async function prepare(nbytes = SMALL): Promise<Work> {
  const path = join(await tempFolder(), "source");
  const bytes = Buffer.alloc(nbytes, "0123456789abcde");
  await writeFile(path, bytes);
  const info: TensorInfo = {
    name: "t",
    dtype: "uint8",
    shape: [nbytes],
    file: 0,
    byteOffset: 0,
    nbytes,
  };
  const value = evaluate({ op: "source", name: "t" }, () => info);
  const tensor = {
    ...{ name: "t", parameter: "t", shape: [nbytes], sources: [], rows: 1, cols: nbytes },
    ...({ dtype: "uint8", modelDType: "uint8", encoding: { kind: "raw" }, value } as const),
  };
  const placed = { tensor: 0, byteOffset: 0, nbytes };
  const shard = { path: "s", fileOffset: 0, nbytes, tensors: [placed] };
  const sources = [{ path, size: nbytes }];
  const limits = { threads: 2, lanes: 2, tileBytes: 4096, keptBytes: 0, sync: false, map: true };
  return {
    nbytes,
    options: { sources, backend: "reference", ...limits },
    program: encodeShard([tensor], shard, { float32AsBfloat16: false, sources: [0] }),
    md5: createHash("md5").update(bytes).digest("hex"),
  };
}

function openJob({ options, program, nbytes }: Work): NativeJob {
  const job = createJob(options);
  for (let id = 0; id < SHARDS; id++) job.addShard(shardOf(id, program, nbytes));
  return job;
}

const shardOf = (id: number, program: Float64Array, nbytes: number) => ({
  ...{ id, path: "", fileOffset: 0, truncate: false, nbytes, measured: false, program },
});

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

function startThread({ options, program, nbytes }: Work, once: boolean): Worker {
  const shards = Array.from({ length: SHARDS }, (_, id) => shardOf(id, program, nbytes));
  return new Worker(THREAD, { eval: true, workerData: { root: ROOT, options, shards, once } });
}

async function runHere(work: Work): Promise<readonly string[]> {
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
