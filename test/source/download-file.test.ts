import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { thisProcess } from "../../src/core/owner.ts";
import type { Fault } from "../../src/hub-server/faults.ts";
import type { HubServer } from "../../src/hub-server/hub-server.ts";
import { makeCommit } from "../../src/hub-server/repository.ts";
import { type OpenRaw, openOnDisk } from "../../src/source/disk.ts";
import { type DownloadOptions, downloadAll } from "../../src/source/download-all.ts";
import { downloadFile, type FileTask } from "../../src/source/download-file.ts";
import { HubClient } from "../../src/source/hub-client.ts";
import { formatHead, formatRanges } from "../../src/source/journal.ts";
import { RemoteContent } from "../../src/source/remote-content.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { IMPATIENT, noise, QUICK, repository, startHub, type TestDeps, testDeps } from "./hub-fixture.ts";

const KIB = 1024;
const SIZE = 640 * KIB;
const NAME = "model.safetensors";
const bytes = noise(SIZE);
const sha256 = createHash("sha256").update(bytes).digest("hex");
const SMALL_RANGES: DownloadOptions = { ranges: 4, rangeBytes: 128 * KIB, timing: QUICK };

/** Short patience only where a fault needs it, so that a busy machine is not taken for a stall. */
function rangesFor({ does }: Fault): DownloadOptions {
  const slow = does.kind === "stall" || does.kind === "drip";
  return { ...SMALL_RANGES, timing: slow ? IMPATIENT : QUICK };
}

interface Setting {
  readonly hub: HubServer;
  readonly folder: string;
  readonly deps: TestDeps;
  readonly task: FileTask;
  readonly run: (options?: DownloadOptions) => Promise<void>;
}

async function setting(
  faults: Fault[] = [],
  content: Buffer = bytes,
  hubGiven?: HubServer,
): Promise<Setting> {
  const hub = hubGiven ?? (await startHub(new Map([[NAME, content]])));
  hub.faults = faults;
  const folder = await tempFolder();
  const deps = testDeps(folder);
  const client = new HubClient(deps, { endpoint: hub.endpoint, token: "hf_topsecret", timing: QUICK });
  const model = await new HubClient(deps, { endpoint: hub.endpoint, token: undefined }).resolveRevision(
    "org/model",
    "main",
  );
  const [file] = await new HubClient(deps, { endpoint: hub.endpoint, token: undefined }).listFiles(model);
  if (!file?.sha256) throw new Error("the fixture has one large file");
  const identity = {
    origin: `org/model@${model.commit}/${NAME}`,
    size: file.size,
    hash: `sha256:${file.sha256}`,
  };
  const task: FileTask = {
    content: new RemoteContent(
      new HubClient(deps, { endpoint: hub.endpoint, token: undefined, timing: QUICK }),
      model,
      file,
      deps,
    ),
    expected: { algorithm: "sha256", hex: file.sha256 },
    part: { folder, stem: file.sha256, identity },
    target: path.join(folder, "published"),
  };
  void client;
  const run = (options: DownloadOptions = SMALL_RANGES) => {
    const job = {
      name: NAME,
      size: file.size,
      run: (context: Parameters<typeof downloadFile>[1]) => downloadFile(task, context),
    };
    return downloadAll([job], deps, options);
  };
  return { hub, folder, deps, task, run };
}

async function expectPublished({ task, folder }: Setting, content: Buffer = bytes): Promise<void> {
  expect((await readFile(task.target)).equals(content)).toBe(true);
  expect(await readdir(folder)).toEqual(["published"]);
}

async function expectNothingPublished({ folder }: Setting): Promise<void> {
  expect((await readdir(folder)).filter((name) => !name.includes(".incomplete"))).toEqual([]);
}

/** Leaves a part as a dead process would: `ranges` are in the journal, `data` is in the file. */
async function leavePart(
  { task, folder }: Setting,
  data: Buffer,
  ranges: [number, number][],
  more: object = {},
) {
  const part = path.join(folder, `${task.part.stem}.0badcafe.incomplete`);
  const owner = { ...thisProcess(), pid: 2 ** 22 + 1 };
  const head = formatHead({
    identity: { ...task.part.identity, ...more },
    owner,
    part: path.basename(part),
    etag: undefined,
  });
  await writeFile(part, data);
  await writeFile(`${part}.journal`, head + formatRanges(ranges));
}

test("a file arrives in ranges over several connections, and is published with nothing left behind (T8)", async () => {
  const one = await setting();
  await one.run();
  await expectPublished(one);
  const store = one.hub.requests.filter((request) => request.door === "store");
  expect(store.every((request) => request.range !== undefined && request.httpVersion === "1.1")).toBe(true);
  expect(new Set(store.map((request) => request.connection)).size).toBeGreaterThan(1);
  expect(one.hub.storeBytes).toBe(SIZE);
});

test("an empty file is published", async () => {
  const one = await setting([], Buffer.alloc(0));
  await one.run();
  await expectPublished(one, Buffer.alloc(0));
});

test("a file is resolved once, and its ranges go to the signed address (T16)", async () => {
  const one = await setting();
  await one.run();
  expect(one.hub.requests.filter((request) => request.door === "resolve")).toHaveLength(1);
});

const once = (does: Fault["does"], more: Partial<Fault> = {}): Fault => ({
  door: "store",
  does,
  skip: 1,
  ...more,
});

describe("what goes wrong once is repaired, and the result is right", () => {
  test.each<[string, Fault]>([
    ["a stall (T27)", once({ kind: "stall", afterBytes: 1000 })],
    ["a connection that breaks off", once({ kind: "cut", afterBytes: 1000 })],
    ["a slow drip", once({ kind: "drip", bytesPerSecond: 100 })],
    ["200 instead of 206 (T3)", once({ kind: "ignore-range" }, { times: 2 })],
    ["a shifted Content-Range (T4)", once({ kind: "content-range", wrong: "start" })],
    ["another total in Content-Range (T4)", once({ kind: "content-range", wrong: "total" })],
    ["no Content-Range (T4)", once({ kind: "content-range", wrong: "missing" })],
    ["a body shorter than said (T4)", once({ kind: "content-range", wrong: "short" })],
    ["another ETag (T5)", once({ kind: "etag", etag: "other" })],
    ["an expired address (T7)", once({ kind: "expired" })],
    ["wrong bytes", once({ kind: "wrong-bytes" })],
    ["a pointer instead of the content (T12)", once({ kind: "pointer" })],
    ["429 with Retry-After", once({ kind: "status", status: 429, headers: { "Retry-After": "0" } })],
    ["a burst of 503", once({ kind: "status", status: 503 }, { times: 4 })],
    ["500 from the hub", { door: "resolve", does: { kind: "status", status: 500 } }],
  ])("%s", async (_name, fault) => {
    const one = await setting([fault]);
    await one.run(rangesFor(fault));
    await expectPublished(one);
    expect(fault.times).toBe(0);
  });
});

describe("what stays wrong is refused, and nothing is published", () => {
  const always = (does: Fault["does"], door: Fault["door"] = "store"): Fault => ({ door, does, times: 1e9 });
  test.each<[string, Fault, string, RegExp]>([
    [
      "wrong bytes",
      always({ kind: "wrong-bytes" }),
      "E_DOWNLOAD_HASH",
      /expected sha256 [0-9a-f]{64}, received sha256/,
    ],
    ["a pointer", always({ kind: "pointer" }), "E_DOWNLOAD_CHANGED", /expected 655360 bytes/],
    ["silence", always({ kind: "stall", afterBytes: 0 }), "E_DOWNLOAD_BROKEN", /nothing came from 127/],
    [
      "a shifted Content-Range",
      always({ kind: "content-range", wrong: "start" }),
      "E_DOWNLOAD_BROKEN",
      /Content-Range/,
    ],
    ["another total", always({ kind: "content-range", wrong: "total" }), "E_DOWNLOAD_CHANGED", /655361/],
    [
      "addresses that expire at once",
      always({ kind: "expired" }),
      "E_DOWNLOAD_REFUSED",
      /keeps answering 403/,
    ],
    [
      "another hash than the list's (T6)",
      always({ kind: "etag", etag: "0".repeat(64) }, "resolve"),
      "E_DOWNLOAD_OTHER",
      /127\.0\.0\.1:\d+ offers 0000/,
    ],
    ["a server that is no hub", always({ kind: "not-a-hub" }, "resolve"), "E_HUB_PROTOCOL", /as a hub does/],
    ["500", always({ kind: "status", status: 500 }), "E_HUB_TROUBLE", /500/],
  ])("%s", async (_name, fault, code, message) => {
    const one = await setting([fault]);
    await expect(one.run(rangesFor(fault))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await expectNothingPublished(one);
  });
});

test("a connection that gives up leaves its range to others, never a hole", async () => {
  const fault: Fault = { door: "store", skip: 1, times: 5, does: { kind: "status", status: 500 } };
  const one = await setting([fault]);
  const open: OpenRaw = async (file, flags) => {
    const raw = await openOnDisk(file, flags);
    const datasync = () =>
      new Promise<void>((resolve) => setTimeout(resolve, 400)).then(() => raw.datasync());
    return { ...raw, datasync };
  };
  const task = { ...one.task, part: { ...one.task.part, open } };
  const run = (context: Parameters<typeof downloadFile>[1]) => downloadFile(task, context);
  const options = { ranges: 2, rangeBytes: SIZE, timing: QUICK };
  const outcome = await downloadAll([{ name: NAME, size: SIZE, run }], one.deps, options).then(
    () => "published",
    (error: { code: string }) => error.code,
  );
  expect(["published", "E_HUB_TROUBLE"]).toContain(outcome);
  expect(JSON.stringify(one.deps.events)).not.toContain("expected sha256");
  expect(one.hub.storeBytes).toBeLessThanOrEqual(SIZE);
});

test("a server without ranges at all is read as a whole", async () => {
  const one = await setting([{ door: "store", times: 1e9, does: { kind: "ignore-range" } }]);
  await one.run();
  await expectPublished(one);
});

test("content that changes between two ranges never mixes with the old (T5)", async () => {
  const repo = await repository(new Map([[NAME, bytes]]));
  const hub = await startHub([repo], { bandwidth: { bytesPerSecond: 2 << 20, penaltyPerConnection: 0 } });
  const one = await setting([], bytes, hub);
  const running = one.run();
  const outcome = running.then(
    () => "done",
    (error: { code: string }) => error.code,
  );
  while (hub.storeBytes < 64 * KIB) await new Promise((resolve) => setTimeout(resolve, 5));
  const old = repo.refs.get("main");
  const next = await makeCommit(new Map([[NAME, noise(SIZE, 9)]]));
  if (old) repo.refs.set("main", { ...next, sha: old.sha });
  expect(["E_DOWNLOAD_OTHER", "E_DOWNLOAD_CHANGED", "E_DOWNLOAD_HASH"]).toContain(await outcome);
  await expectNothingPublished(one);
});

test("an expired address is resolved again and finished ranges are kept (T7)", async () => {
  const one = await setting([once({ kind: "expired" }, { skip: 3 })]);
  await one.run();
  expect(one.hub.requests.filter((request) => request.door === "resolve")).toHaveLength(2);
  expect(one.hub.storeBytes).toBe(SIZE);
});

test("what a dead process left is continued, not fetched again", async () => {
  const one = await setting();
  await leavePart(one, bytes, [
    [0, 300_000],
    [400_000, SIZE],
  ]);
  await one.run();
  await expectPublished(one);
  expect(one.hub.storeBytes).toBe(100_000);
});

test("a part of full size whose journal records nothing is worthless (T1)", async () => {
  const one = await setting();
  await leavePart(one, Buffer.alloc(SIZE), []);
  await one.run();
  await expectPublished(one);
  expect(one.hub.storeBytes).toBe(SIZE);
});

test("a part of full size without a journal is not used (T1)", async () => {
  const one = await setting();
  const stray = path.join(one.folder, `${one.task.part.stem}.0badcafe.incomplete`);
  await writeFile(stray, Buffer.alloc(SIZE));
  await one.run();
  expect((await readFile(one.task.target)).equals(bytes)).toBe(true);
  expect(one.hub.storeBytes).toBe(SIZE);
});

test("a complete part is verified, not extended; damage on disk is found and repaired (T26)", async () => {
  const sound = await setting();
  await leavePart(sound, bytes, [[0, SIZE]]);
  await sound.run();
  await expectPublished(sound);
  expect(sound.hub.storeBytes).toBe(0);
  const damaged = await setting();
  await leavePart(damaged, Buffer.concat([bytes.subarray(0, SIZE - 1), Buffer.from([1])]), [[0, SIZE]]);
  await damaged.run();
  await expectPublished(damaged);
  expect(damaged.hub.storeBytes).toBe(SIZE);
});

test.each([
  ["another commit", { origin: "org/model@other/model.safetensors" }],
  ["another size", { size: SIZE + 1 }],
  ["another hash", { hash: "sha256:0" }],
])("a journal of %s is not taken over", async (_name, more) => {
  const one = await setting();
  await leavePart(one, bytes, [[0, SIZE]], more);
  await one.run();
  expect((await readFile(one.task.target)).equals(bytes)).toBe(true);
  expect(one.hub.storeBytes).toBe(SIZE);
});

test("a part whose owner lives is left alone", async () => {
  const one = await setting();
  await leavePart(one, bytes, [[0, SIZE]]);
  const journal = path.join(one.folder, `${one.task.part.stem}.0badcafe.incomplete.journal`);
  const text = await readFile(journal, "utf8");
  await writeFile(journal, text.replace(/"pid":\d+/, `"pid":${process.pid}`));
  await one.run();
  expect(one.hub.storeBytes).toBe(SIZE);
  expect(await readFile(journal, "utf8")).toContain(`"pid":${process.pid}`);
});

test("an interrupted download keeps what it has and continues", async () => {
  const hub = await startHub(new Map([[NAME, bytes]]), {
    bandwidth: { bytesPerSecond: 1 << 20, penaltyPerConnection: 0 },
  });
  const one = await setting([], bytes, hub);
  const stop = new AbortController();
  const deps = { ...one.deps, signal: stop.signal };
  const job = {
    name: NAME,
    size: SIZE,
    run: (context: Parameters<typeof downloadFile>[1]) => downloadFile(one.task, context),
  };
  const running = downloadAll([job], deps, SMALL_RANGES);
  setTimeout(() => stop.abort(), 250);
  await expect(running).rejects.toMatchObject({ code: "E_ABORTED" });
  await expectNothingPublished(one);
  const before = hub.storeBytes;
  await one.run();
  await expectPublished(one);
  expect(before).toBeGreaterThan(0);
  expect(hub.storeBytes - before).toBeLessThan(SIZE);
});

test("a rate limit holds for all connections together", async () => {
  const one = await setting();
  const begun = performance.now();
  await one.run({ ...SMALL_RANGES, bytesPerSecond: 1 << 20 });
  expect(performance.now() - begun).toBeGreaterThan(450);
  await expectPublished(one);
});

test("no secret of a signed address is in a journal, an event or an error", async () => {
  const one = await setting([{ door: "store", skip: 2, times: 1e9, does: { kind: "status", status: 500 } }]);
  const error: unknown = await one.run().catch((reason: unknown) => reason);
  const journals = (await readdir(one.folder)).filter((name) => name.endsWith(".journal"));
  expect(journals).toHaveLength(1);
  const texts = await Promise.all(journals.map((name) => readFile(path.join(one.folder, name), "utf8")));
  const everything = JSON.stringify([texts, one.deps.events, String(error), (error as Error).message]);
  expect(everything).not.toMatch(/X-Signature|hf_/);
});

test.each([0, -1, 1.5])("%d files at a time are refused", async (files) => {
  const one = await setting();
  await expect(one.run({ files })).rejects.toMatchObject({ code: "E_OPTION" });
});

test("progress is told for the file and in total, up to the end", async () => {
  const one = await setting();
  await one.run();
  expect(one.deps.events.findLast((event) => event.type === "download")).toMatchObject({
    bytes: SIZE,
    total: SIZE,
  });
  expect(one.deps.events.findLast((event) => event.type === "download-total")).toMatchObject({
    bytes: SIZE,
    files: 1,
  });
});

test("a file of 60 GB is only ever asked for in ranges (T25)", async () => {
  const size = 60e9;
  const content = {
    size,
    sha256: "1".repeat(64),
    fill: (_offset: number, nbytes: number) => Buffer.alloc(nbytes),
  };
  const hub = await startHub(new Map([[NAME, content]]), { rangesOnly: true });
  const one = await setting([], bytes, hub);
  const stop = new AbortController();
  const job = {
    name: NAME,
    size,
    run: (context: Parameters<typeof downloadFile>[1]) => downloadFile(one.task, context),
  };
  const running = downloadAll([job], { ...one.deps, signal: stop.signal }, { ...SMALL_RANGES });
  while (hub.storeBytes < 4 << 20) await new Promise((resolve) => setTimeout(resolve, 5));
  stop.abort();
  await expect(running).rejects.toMatchObject({ code: "E_ABORTED" });
  const longest = Math.max(
    ...hub.requests.filter(({ door }) => door === "store").map(({ range }) => lengthOf(range)),
  );
  expect(longest).toBeLessThanOrEqual(128 * KIB);
  expect(sha256).toHaveLength(64);
});

function lengthOf(range: string | undefined): number {
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  return start === undefined || end === undefined
    ? Number.POSITIVE_INFINITY
    : Number(end) - Number(start) + 1;
}
