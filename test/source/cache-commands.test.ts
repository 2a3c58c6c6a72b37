import { access, mkdir, readdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { makeCommit } from "../../src/hub-server/repository.ts";
import { acquire } from "../../src/source/acquire.ts";
import { listCache } from "../../src/source/cache-list.ts";
import { pruneCache } from "../../src/source/cache-prune.ts";
import { verifyCache } from "../../src/source/cache-verify.ts";
import type { SourceOptions } from "../../src/source/options.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { checkpointFiles, noise, QUICK, repository, startHub, testDeps } from "./hub-fixture.ts";

const SHARD = "model-00001-of-00002.safetensors";

async function filledCache() {
  const repo = await repository(checkpointFiles());
  const hub = await startHub([repo]);
  const home = await tempFolder();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint });
  const get = async (options: SourceOptions = {}) => {
    const all = { ...options, download: { timing: QUICK } };
    return acquire(await resolveSource("org/model", all, deps), all, deps);
  };
  return { repo, hub, home, deps, get, model: await get() };
}

async function age(file: string, days: number): Promise<void> {
  const past = new Date(Date.now() - days * 86_400_000);
  await utimes(file, past, past);
}

test("list names every model with its commit, size, state and place", async () => {
  const { deps, model, get } = await filledCache();
  await get({ hfCache: true });
  const [own, hf] = await listCache({}, deps);
  expect(own).toMatchObject({
    repo: "org/model",
    revisions: ["main"],
    commit: model.commit,
    complete: true,
    place: "mlc",
    model: "checkpoint",
  });
  expect(own?.nbytes).toBeGreaterThan(400_000);
  expect(hf).toMatchObject({ repo: "org/model", place: "hugging-face" });
});

test("list shows what an incomplete model lacks", async () => {
  const { deps, model } = await filledCache();
  await rm(path.join(model.folder, SHARD));
  expect(await listCache({}, deps)).toEqual([
    expect.objectContaining({ complete: false, problems: [`${SHARD}: missing`] }),
  ]);
});

test("verify finds content that differs from its hash, and only that", async () => {
  const { deps, model } = await filledCache();
  expect(await verifyCache(undefined, {}, deps)).toEqual([
    expect.objectContaining({ sound: 7, problems: [], unverified: [] }),
  ]);
  const { size } = await stat(path.join(model.folder, "tokenizer.json"));
  await writeFile(path.join(model.folder, "tokenizer.json"), Buffer.alloc(size, 0x20));
  const [result] = await verifyCache("org/model", {}, deps);
  expect(result).toMatchObject({
    sound: 6,
    problems: [expect.stringMatching(/^tokenizer\.json: expected git-sha1 [0-9a-f]{40}, found/)],
  });
  expect(await verifyCache("org/other", {}, deps)).toEqual([]);
});

test("verify uses the manifest and the md5 sums of converted models", async () => {
  const { createHash } = await import("node:crypto");
  const shard = noise(10_000);
  const md5sum = createHash("md5").update(shard).digest("hex");
  const index = JSON.stringify({ records: [{ dataPath: "params_shard_0.bin", nbytes: 10_000, md5sum }] });
  const files = new Map([
    ["mlc-chat-config.json", Buffer.from("{}")],
    ["tensor-cache.json", Buffer.from(index)],
    ["params_shard_0.bin", shard],
  ]);
  const hub = await startHub(files);
  const deps = testDeps(await tempFolder(), { HF_ENDPOINT: hub.endpoint });
  const { folder } = await acquire(await resolveSource("org/model", {}, deps), {}, deps);
  expect(await verifyCache(undefined, {}, deps)).toEqual([
    expect.objectContaining({ sound: 3, problems: [] }),
  ]);
  await rm(path.join(folder, ".mlc-convert.json"));
  expect(await verifyCache(undefined, {}, deps)).toEqual([
    expect.objectContaining({
      sound: 0,
      problems: [],
      unverified: ["mlc-chat-config.json", "tensor-cache.json"],
    }),
  ]);
  await writeFile(path.join(folder, "params_shard_0.bin"), noise(10_000, 3));
  expect((await verifyCache(undefined, {}, deps))[0]?.problems).toEqual([
    expect.stringContaining("params_shard_0.bin: expected md5"),
  ]);
});

test("prune leaves a sound cache alone", async () => {
  const { deps } = await filledCache();
  expect(await pruneCache({}, {}, deps)).toEqual([]);
  expect((await verifyCache(undefined, {}, deps))[0]?.sound).toBe(7);
});

test("prune removes what dead downloads left, but not what the living are at", async () => {
  const { deps, home } = await filledCache();
  const blobs = path.join(home, ".cache/mlc_llm/hub/models--org--model/blobs");
  const journal = (pid: number, part: string) =>
    `${JSON.stringify({ version: 1, origin: "o", size: 10, hash: "h", part, owner: { host: "elsewhere", pid }, etag: null })}\n`;
  for (const [name, text] of [
    ["dead", journal(1, "dead.00000000.incomplete")],
    ["live", journal(2, "live.00000000.incomplete")],
  ] as const) {
    await writeFile(path.join(blobs, `${name}.00000000.incomplete`), "0123456789");
    await writeFile(path.join(blobs, `${name}.00000000.incomplete.journal`), text);
  }
  await age(path.join(blobs, "dead.00000000.incomplete.journal"), 1);
  const stage = path.join(
    home,
    ".cache/mlc_llm/model_weights/hf/org/m.incomplete-0123456789ab-01234567-0-01234567",
  );
  await mkdir(stage, { recursive: true });
  const pruned = await pruneCache({}, {}, deps);
  expect(pruned.map((item) => path.basename(item.path)).filter((name) => name.startsWith("live"))).toEqual(
    [],
  );
  expect((await readdir(blobs)).filter((name) => name.startsWith("dead"))).toEqual([]);
  expect((await readdir(blobs)).filter((name) => name.startsWith("live"))).toHaveLength(2);
  await expect(access(stage)).rejects.toThrow();
});

test("prune removes old content that no snapshot uses, and keeps shared content", async () => {
  const { deps, model, home } = await filledCache();
  const blobs = path.join(home, ".cache/mlc_llm/hub/models--org--model/blobs");
  const stray = path.join(blobs, "f".repeat(64));
  await writeFile(stray, "stray");
  expect(await pruneCache({}, {}, deps)).toEqual([]);
  await age(stray, 2);
  expect(await pruneCache({ dryRun: true }, {}, deps)).toEqual([
    { path: stray, nbytes: 5, why: "content that no snapshot uses" },
  ]);
  await access(stray);
  await pruneCache({}, {}, deps);
  await expect(access(stray)).rejects.toThrow();
  expect((await readFile(path.join(model.folder, SHARD))).byteLength).toBeGreaterThan(0);
});

test("prune removes a repository that was asked for, and nothing else", async () => {
  const { deps, home, model, get } = await filledCache();
  const hf = await get({ hfCache: true });
  const pruned = await pruneCache({ repo: "org/model" }, {}, deps);
  expect(pruned[0]).toMatchObject({ path: model.folder, why: "asked for" });
  expect(await readdir(path.join(home, ".cache/mlc_llm/hub"))).not.toContain("models--org--model");
  await access(path.join(hf.folder, SHARD));
});

test("prune by age removes old snapshots and what only they used", async () => {
  const { repo, deps, get, home, model } = await filledCache();
  const tokenizer = path.resolve(model.folder, await readlink(path.join(model.folder, "tokenizer.json")));
  const shard = path.resolve(model.folder, await readlink(path.join(model.folder, SHARD)));
  repo.refs.set("main", await makeCommit(checkpointFiles().set("tokenizer.json", Buffer.from("[]"))));
  const next = await get();
  expect(next.commit).not.toBe(model.commit);
  await age(model.folder, 40);
  await pruneCache({ olderThanDays: 30 }, {}, deps);
  await expect(access(model.folder)).rejects.toThrow();
  await expect(access(tokenizer)).rejects.toThrow();
  await access(shard);
  expect((await verifyCache(undefined, {}, deps))[0]).toMatchObject({ sound: 7, problems: [] });
  expect(home).toBeTruthy();
});
