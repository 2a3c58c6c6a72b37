import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { lfsPointer } from "../../src/hub-server/repository.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { plannedFiles } from "../../src/source/resolved.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { convertedFiles, fingerprint, SHARD, WANTED, world } from "./acquire-fixture.ts";
import { checkpointFiles } from "./hub-fixture.ts";

test("local files only, offline mode, OFF and READONLY use what is cached and write nothing (T31)", async () => {
  const { get, hub, home } = await world();
  const { folder } = await get();
  hub.requests.length = 0;
  const before = await fingerprint(home);
  for (const options of [{ localFilesOnly: true }, { cachePolicy: "OFF" }, { cachePolicy: "READONLY" }]) {
    expect((await get(options)).folder).toBe(folder);
  }
  expect(await fingerprint(home)).toEqual(before);
  expect(hub.requests).toEqual([]);
});

test.each([
  ["localFilesOnly", { localFilesOnly: true }, {}],
  ["OFF", { cachePolicy: "OFF" }, {}],
  ["READONLY", { cachePolicy: "READONLY" }, {}],
  ["HF_HUB_OFFLINE", {}, { HF_HUB_OFFLINE: "1" }],
])(
  "%s without a cached copy is refused, names where it looked, and creates nothing",
  async (_name, options, env) => {
    const { get, hub, home } = await world(checkpointFiles(), env as Record<string, string>);
    await expect(get(options)).rejects.toMatchObject({
      code: "E_NOT_CACHED",
      message: expect.stringContaining("model_weights"),
    });
    expect(hub.requests).toEqual([]);
    expect(await readdir(home)).toEqual([]);
  },
);

test.each(["OFF", "READONLY"])("%s with an incomplete copy lists what is missing", async (cachePolicy) => {
  const { get, home } = await world();
  const { folder } = await get();
  await rm(path.join(folder, SHARD));
  const before = await fingerprint(home);
  await expect(get({ cachePolicy })).rejects.toMatchObject({
    code: "E_CACHE_INCOMPLETE",
    message: expect.stringContaining(SHARD),
  });
  expect(await fingerprint(home)).toEqual(before);
});

test("a forced redo contradicts READONLY, and nothing is touched", async () => {
  const { get, home } = await world();
  await get();
  const before = await fingerprint(home);
  await expect(get({ cachePolicy: "READONLY", forceRedo: true })).rejects.toMatchObject({
    code: "E_REDO_CONTRADICTION",
  });
  expect(await fingerprint(home)).toEqual(before);
});

describe("read-only caches", () => {
  async function withBase(files: Map<string, Buffer>) {
    const base = await tempFolder();
    const folder = path.join(base, "hf/org/model");
    await mkdir(folder, { recursive: true });
    for (const [name, bytes] of files)
      if (!name.includes("/")) await writeFile(path.join(folder, name), bytes);
    return { base, folder };
  }

  test.each(["ON", "OFF", "REDO", "READONLY"])("win under the policy %s", async (cachePolicy) => {
    const { base, folder } = await withBase(checkpointFiles());
    const { get, hub } = await world(checkpointFiles(), {
      MLC_LLM_READONLY_WEIGHT_CACHE: `/nowhere:${base}`,
    });
    const model = await get({ cachePolicy });
    expect(model.folder).toBe(folder);
    expect(hub.requests).toEqual([]);
    expect(model.notices.some((notice) => notice.includes("not downloaded again"))).toBe(
      cachePolicy === "REDO",
    );
  });

  test("are skipped with a notice when incomplete", async () => {
    const files = checkpointFiles();
    files.delete(SHARD);
    const { base } = await withBase(files);
    const { get } = await world(checkpointFiles(), { MLC_LLM_READONLY_WEIGHT_CACHE: base });
    expect((await get()).notices).toContainEqual(expect.stringContaining(`is skipped: ${SHARD}: missing`));
  });

  test("hold converted models too, under the old index name as well (T30)", async () => {
    const { base, folder } = await withBase(convertedFiles("ndarray-cache.json"));
    const { get } = await world(checkpointFiles(), { MLC_LLM_READONLY_WEIGHT_CACHE: base });
    expect(await get({ expect: "converted" })).toMatchObject({ folder, model: "converted" });
  });
});

test("the wrong kind is refused before anything large is fetched (T18)", async () => {
  const raw = await world();
  await expect(raw.get({ expect: "converted" })).rejects.toMatchObject({
    code: "E_MODEL_KIND",
    hint: expect.stringContaining("convert"),
  });
  const converted = await world(convertedFiles());
  await expect(converted.get({ expect: "checkpoint" })).rejects.toMatchObject({
    code: "E_MODEL_KIND",
    hint: expect.stringContaining("download"),
  });
  const neither = await world(new Map([["README.md", Buffer.from("x")]]));
  await expect(neither.get()).rejects.toMatchObject({
    code: "E_MODEL_KIND",
    message: expect.stringMatching(/model\.safetensors.*it has README\.md/s),
  });
  expect(raw.hub.storeBytes + converted.hub.storeBytes + neither.hub.storeBytes).toBe(0);
});

test("an index that names a file the repository lacks is refused at once", async () => {
  const files = checkpointFiles();
  files.delete(SHARD);
  const { get, hub } = await world(files);
  await expect(get()).rejects.toMatchObject({
    code: "E_REPOSITORY_INCOMPLETE",
    message: expect.stringContaining(SHARD),
  });
  expect(hub.storeBytes).toBe(0);
});

test("an index whose paths leave the folder is refused (T32)", async () => {
  const files = checkpointFiles().set(
    "model.safetensors.index.json",
    Buffer.from('{"weight_map":{"a":"../x"}}'),
  );
  const { get } = await world(files);
  await expect(get()).rejects.toMatchObject({ code: "E_REPOSITORY_PATH" });
});

test("a missing tokenizer is told, missing optional files are not (T19) (T28)", async () => {
  const files = new Map([
    ["config.json", Buffer.from("{}")],
    ["model.safetensors", checkpointFiles(10).get(SHARD) ?? Buffer.of()],
  ]);
  const bare = await world(files);
  expect((await bare.get()).notices).toEqual([expect.stringContaining("no tokenizer files")]);
  const minimal = await world(files.set("tokenizer.json", Buffer.from("{}")));
  expect((await minimal.get()).notices).toEqual([]);
  expect(JSON.stringify(minimal.deps.events)).not.toMatch(/error|fail|not found/i);
});

describe("when the hub is in trouble", () => {
  const trouble = { kind: "status", status: 503 } as const;

  test("a cached copy is used and announced with commit and age (T15)", async () => {
    const { get, hub } = await world();
    const { folder, commit } = await get();
    hub.faults = [{ door: "api", times: 1e9, does: trouble }];
    const again = await get();
    expect(again.folder).toBe(folder);
    expect(again.notices).toContainEqual(
      expect.stringMatching(new RegExp(`cached copy is used: commit ${commit}, last checked 0 days ago`)),
    );
  });

  test("a permanent rate limit does not break a warm cache (T34)", async () => {
    const { get, hub } = await world();
    const { folder } = await get();
    hub.faults = [
      {
        door: "api",
        times: 1e9,
        does: { kind: "status", status: 429, headers: { RateLimit: '"api";r=0;t=9999' } },
      },
    ];
    expect((await get()).folder).toBe(folder);
  });

  test("a cold cache is a network error (T15)", async () => {
    const { get, hub } = await world();
    hub.faults = [{ door: "api", times: 1e9, does: trouble }];
    await expect(get()).rejects.toMatchObject({ code: "E_HUB_TROUBLE" });
  });

  test("a copy of another revision does not stand in", async () => {
    const { get, hub } = await world();
    await get();
    hub.faults = [{ door: "api", times: 1e9, does: trouble }];
    await expect(get({ revision: "v2" })).rejects.toMatchObject({ code: "E_HUB_TROUBLE" });
  });
});

test("a dry run lists files, sizes and what is there", async () => {
  const { get, deps } = await world();
  await get({ skipWeights: true });
  const source = await resolveSource("org/model", {}, deps);
  if (source.kind !== "remote") throw new Error("expected a remote source");
  const planned = plannedFiles(source);
  expect(planned.filter((file) => !file.present).map((file) => file.name)).toEqual(
    WANTED.filter((name) => name.endsWith(".safetensors")),
  );
  expect(planned.find((file) => file.name === SHARD)?.size).toBe(checkpointFiles().get(SHARD)?.byteLength);
});

describe("local folders", () => {
  async function localCopy(): Promise<string> {
    const folder = await tempFolder();
    for (const [name, bytes] of checkpointFiles(100))
      if (!name.includes("/")) await writeFile(path.join(folder, name), bytes);
    return folder;
  }

  test("are used where they are and never written", async () => {
    const { get, hub } = await world();
    const folder = await localCopy();
    const before = await fingerprint(folder);
    expect(await get({}, folder)).toMatchObject({ folder, source: folder, model: "checkpoint" });
    expect(await fingerprint(folder)).toEqual(before);
    expect(hub.requests).toEqual([]);
  });

  test.each([SHARD, "tokenizer.json", "config.json", "model.safetensors.index.json"])(
    "with a pointer for %s are refused (T12)",
    async (name) => {
      const { get } = await world();
      const folder = await localCopy();
      await writeFile(path.join(folder, name), lfsPointer("a".repeat(64), 12345));
      await expect(get({}, folder)).rejects.toMatchObject({
        code: "E_LFS_POINTER",
        message: expect.stringContaining(name),
        hint: expect.stringContaining("git lfs pull"),
      });
    },
  );

  test("that do not exist are a missing path, not a missing repository", async () => {
    const { get, hub } = await world();
    await expect(get({}, "./no/such/folder")).rejects.toMatchObject({ code: "E_NO_SUCH_PATH" });
    expect(hub.requests).toEqual([]);
  });

  test("of the wrong kind are refused", async () => {
    const { get } = await world();
    await expect(get({ expect: "converted" }, await localCopy())).rejects.toMatchObject({
      code: "E_MODEL_KIND",
    });
  });
});
