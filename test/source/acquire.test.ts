import { execFileSync } from "node:child_process";
import { readlink, rm, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { acquire } from "../../src/source/acquire.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { expectFiles, SHARD, WANTED, world } from "./acquire-fixture.ts";
import { checkpointFiles, QUICK, repository, startHub, testDeps } from "./hub-fixture.ts";

test("a checkpoint is fetched into the cache: config, tokenizer, one weight format, nothing else", async () => {
  const { get, deps, home } = await world();
  const model = await get();
  await expectFiles(model.folder, checkpointFiles());
  expect(model).toMatchObject({
    model: "checkpoint",
    source: "org/model",
    commit: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect([...model.verified.keys()].sort()).toEqual(WANTED);
  expect(model.folder.startsWith(path.join(home, ".cache/mlc_llm/hub/models--org--model/snapshots"))).toBe(
    true,
  );
  expect(model.notices).toEqual([expect.stringContaining("safetensors and PyTorch")]);
  expect(deps.events.some((event) => event.type === "retry")).toBe(false);
});

test("the second time nothing but the revision is asked for, and nothing is fetched", async () => {
  const { get, hub } = await world();
  const first = await get();
  hub.requests.length = 0;
  expect((await get()).folder).toBe(first.folder);
  expect(hub.requests.map((request) => request.door)).toEqual(["api"]);
});

test("a cached commit is found without the network", async () => {
  const { get, hub } = await world();
  const { commit } = await get();
  hub.requests.length = 0;
  await get({ revision: commit ?? "" });
  expect(hub.requests).toEqual([]);
});

test("PyTorch weights are taken when they are preferred", async () => {
  const { get } = await world();
  const { files } = await get({ prefer: "upstream" });
  expect(files).toContain("pytorch_model.bin");
  expect(files.some((name) => name.endsWith(".safetensors"))).toBe(false);
});

test("without weights the index still comes", async () => {
  const { get } = await world();
  expect([...(await get({ skipWeights: true })).files].sort()).toEqual(
    WANTED.filter((name) => !name.endsWith(".safetensors")),
  );
});

test("include and exclude change the choice", async () => {
  const { get } = await world();
  expect((await get({ include: ["*.md", "original/**"] })).files).toEqual([
    "README.md",
    "original/consolidated.00.pth",
  ]);
  expect((await get({ exclude: ["*_config.json"] })).files).not.toContain("tokenizer_config.json");
});

test("requests to the endpoint stay within files plus a constant (T16)", async () => {
  const files = new Map<string, Buffer>([
    ["config.json", Buffer.from("{}")],
    ["tokenizer.json", Buffer.from("{}")],
  ]);
  const names = Array.from({ length: 30 }, (_, i) => `model-${i}.safetensors`);
  const one = checkpointFiles(1000).get(SHARD) ?? Buffer.of();
  for (const name of names) files.set(name, Buffer.concat([one]));
  const weightMap = Object.fromEntries(names.map((name, i) => [`t${i}`, name]));
  files.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: weightMap })));
  const { get, hub } = await world(files);
  await get({ download: { timing: QUICK, rangeBytes: 1024 } });
  expect(hub.requests.filter(({ door }) => door !== "store").length).toBeLessThanOrEqual(33 + 4);
});

test("a partial snapshot is completed, fetching only what is missing (T21)", async () => {
  const { get, hub } = await world();
  const { folder } = await get();
  const blob = path.resolve(folder, await readlink(path.join(folder, SHARD)));
  await rm(blob);
  await rm(path.join(folder, SHARD));
  hub.requests.length = 0;
  const again = await get();
  await expectFiles(again.folder, checkpointFiles());
  expect(hub.storeBytes).toBe(checkpointFiles().get(SHARD)?.byteLength);
});

test("a cached blob that is too short is fetched again", async () => {
  const { get } = await world();
  const { folder } = await get();
  await truncate(path.join(folder, SHARD), 1000);
  await expectFiles((await get()).folder, checkpointFiles());
});

test("a blob of the right size and wrong content is found by its hash when the model is repaired", async () => {
  const { get, hub } = await world();
  const { folder } = await get();
  const size = (await stat(path.join(folder, SHARD))).size;
  await writeFile(path.join(folder, SHARD), Buffer.alloc(size));
  await rm(path.join(folder, "tokenizer.json"));
  hub.requests.length = 0;
  await expectFiles((await get()).folder, checkpointFiles());
  expect(hub.storeBytes).toBe(size);
});

test("REDO fetches everything again and replaces it", async () => {
  const { get, hub } = await world();
  const { folder } = await get();
  await writeFile(path.join(folder, SHARD), Buffer.alloc((await stat(path.join(folder, SHARD))).size));
  hub.requests.length = 0;
  await expectFiles((await get({ cachePolicy: "REDO" })).folder, checkpointFiles());
  expect(hub.requests.filter(({ door }) => door === "resolve").length).toBeGreaterThanOrEqual(WANTED.length);
});

test("an explicit no beats the policy REDO", async () => {
  const { get, hub } = await world();
  await get();
  hub.requests.length = 0;
  await get({ cachePolicy: "REDO", forceRedo: false });
  expect(hub.storeBytes).toBe(0);
});

test("a REDO that fails leaves the old entry usable (T20)", async () => {
  const { get, hub } = await world();
  await get();
  hub.faults = [{ door: "store", times: 1e9, skip: 1, does: { kind: "cut", afterBytes: 100 } }];
  await expect(get({ cachePolicy: "REDO" })).rejects.toThrow();
  await expectFiles((await get({ localFilesOnly: true })).folder, checkpointFiles());
});

test("too small a disk is refused before the first byte, with both numbers; it can be overridden (T13)", async () => {
  const { hub, home } = await world();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint }, { freeBytes: async () => 1000 });
  const source = await resolveSource("org/model", {}, deps);
  await expect(acquire(source, {}, deps)).rejects.toMatchObject({
    code: "E_DISK_SPACE",
    message: expect.stringMatching(/needs \d+ bytes and has 1000/),
  });
  expect(hub.storeBytes).toBe(0);
  await acquire(source, { ignoreDiskSpace: true }, deps);
  expect(deps.events).toContainEqual(
    expect.objectContaining({ type: "notice", message: expect.stringContaining("not enough disk space") }),
  );
});

test("a cache that cannot be written is refused before the first byte, in under a second (T13)", async () => {
  const { hub, home } = await world();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint });
  const options = { cacheDir: "/sys/cache", download: { timing: QUICK } };
  const source = await resolveSource("org/model", options, deps);
  const begun = performance.now();
  await expect(acquire(source, options, deps)).rejects.toMatchObject({
    code: "E_CACHE_READ_ONLY",
    hint: expect.stringContaining("--cache-dir"),
  });
  expect(performance.now() - begun).toBeLessThan(1000);
  expect(hub.storeBytes).toBe(0);
});

test("the output's space is counted too", async () => {
  const { hub, home } = await world();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint }, { freeBytes: async () => 10e9 });
  const source = await resolveSource("org/model", {}, deps);
  const output = { folder: path.join(home, "out"), nbytes: 10e9 };
  await expect(acquire(source, { output }, deps)).rejects.toMatchObject({ code: "E_DISK_SPACE" });
});

test("processes that want the same model at the same time fetch it once", async () => {
  const hub = await startHub(checkpointFiles(200_000), {
    bandwidth: { bytesPerSecond: 4 << 20, penaltyPerConnection: 0 },
  });
  const { get } = await world(undefined, {}, hub);
  const models = await Promise.all([get(), get(), get()]);
  await expectFiles(models[0].folder, checkpointFiles(200_000));
  const total = [SHARD, "model-00002-of-00002.safetensors"].reduce(
    (sum, name) => sum + (checkpointFiles(200_000).get(name)?.byteLength ?? 0),
    0,
  );
  expect(hub.storeBytes).toBe(total);
});

test("the token goes to the endpoint only and appears nowhere (T29)", async () => {
  const files = checkpointFiles();
  const hub = await startHub([await repository(files, "private")], { token: "hf_topsecret" });
  const { get, deps, home } = await world(undefined, {}, hub);
  hub.faults = [
    { door: "store", does: { kind: "expired" } },
    { door: "store", does: { kind: "cut", afterBytes: 10 } },
  ];
  const model = await get({ token: "hf_topsecret" });
  expect(
    hub.requests
      .filter(({ door }) => door === "store")
      .every(({ authorization }) => authorization === undefined),
  ).toBe(true);
  expect(
    hub.requests
      .filter(({ door }) => door !== "store")
      .every(({ authorization }) => authorization === "Bearer hf_topsecret"),
  ).toBe(true);
  const found = execFileSync("sh", ["-c", 'grep -rlE "hf_topsecret|X-Signature" "$1" || true', "sh", home], {
    encoding: "utf8",
  });
  expect(found).toBe("");
  expect(JSON.stringify([deps.events, model])).not.toMatch(/hf_topsecret|X-Signature/);
});
