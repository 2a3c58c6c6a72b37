import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { HubServer } from "../../src/hub-server/hub-server.ts";
import { lfsPointer } from "../../src/hub-server/repository.ts";
import { acquire } from "../../src/source/acquire.ts";
import type { SourceOptions } from "../../src/source/options.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { plannedFiles } from "../../src/source/resolved.ts";
import {
  checkpointFiles,
  noise,
  QUICK,
  repository,
  startHub,
  type TestDeps,
  temporaryFolder,
  testDeps,
} from "./hub-fixture.ts";

const WANTED = [
  "config.json",
  "generation_config.json",
  "model-00001-of-00002.safetensors",
  "model-00002-of-00002.safetensors",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
];
const SHARD = "model-00001-of-00002.safetensors";

interface World {
  readonly hub: HubServer;
  readonly home: string;
  readonly deps: TestDeps;
  readonly get: (options?: SourceOptions, name?: string) => ReturnType<typeof acquire>;
}

async function world(
  files = checkpointFiles(),
  env: Record<string, string> = {},
  hubGiven?: HubServer,
): Promise<World> {
  const hub = hubGiven ?? (await startHub(files));
  const home = await temporaryFolder();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint, ...env });
  const get = async (options: SourceOptions = {}, name = "org/model") => {
    const all = { download: { timing: QUICK }, ...options };
    return acquire(await resolveSource(name, all, deps), all, deps);
  };
  return { hub, home, deps, get };
}

async function expectFiles(
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  names = WANTED,
): Promise<void> {
  for (const name of names)
    expect((await readFile(path.join(folder, name))).equals(files.get(name) ?? Buffer.of())).toBe(true);
  expect((await readdir(folder)).sort()).toEqual([...names].sort());
}

/** Every path below a folder with its size and time, to see that nothing moved. */
async function fingerprint(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  return Promise.all(
    entries.sort().map(async (name) => {
      const { size, mtimeMs, ino } = await lstat(path.join(folder, name));
      return `${name} ${size} ${mtimeMs} ${ino}`;
    }),
  );
}

function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}

function convertedFiles(indexName = "tensor-cache.json"): Map<string, Buffer> {
  const shards = [noise(70_000, 5), noise(50_000, 6)];
  const records = shards.map((bytes, i) => ({
    dataPath: `params_shard_${i}.bin`,
    nbytes: bytes.byteLength,
    md5sum: md5(bytes),
  }));
  return new Map([
    ["mlc-chat-config.json", Buffer.from("{}")],
    [indexName, Buffer.from(JSON.stringify({ metadata: {}, records }))],
    ["tokenizer.json", Buffer.from("{}")],
    ...shards.map((bytes, i) => [`params_shard_${i}.bin`, bytes] as const),
    ["params_shard_9.bin", noise(10)],
  ]);
}

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
    const base = await temporaryFolder();
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

describe("converted models", () => {
  test("are published as one folder in upstream's place, without shards that the index does not list", async () => {
    const { get, home, hub } = await world(convertedFiles());
    const model = await get();
    expect(model.folder).toBe(path.join(home, ".cache/mlc_llm/model_weights/hf/org/model"));
    const names = [
      "mlc-chat-config.json",
      "params_shard_0.bin",
      "params_shard_1.bin",
      "tensor-cache.json",
      "tokenizer.json",
    ];
    await expectFiles(
      model.folder,
      convertedFiles().set(".mlc-convert.json", await readFile(path.join(model.folder, ".mlc-convert.json"))),
      [".mlc-convert.json", ...names],
    );
    expect(await readdir(path.dirname(model.folder))).toEqual(["model"]);
    hub.requests.length = 0;
    expect(await get()).toMatchObject({ folder: model.folder, commit: model.commit });
    expect(hub.requests).toEqual([]);
  });

  test("at another revision have a folder of their own", async () => {
    const repo = await repository(convertedFiles());
    const main = repo.refs.get("main");
    if (main) repo.refs.set("refs/pr/1", main);
    const { get } = await world(undefined, {}, await startHub([repo]));
    expect(path.basename((await get({ revision: "refs/pr/1" })).folder)).toBe("model@refs--pr--1");
  });

  test("are repaired with what is missing", async () => {
    const { get, hub } = await world(convertedFiles());
    const { folder } = await get();
    await rm(path.join(folder, "params_shard_0.bin"));
    hub.requests.length = 0;
    await get();
    expect(hub.storeBytes).toBe(70_000);
    expect((await readFile(path.join(folder, "params_shard_0.bin"))).byteLength).toBe(70_000);
  });

  test("whose shards differ from the index's md5 are refused, and nothing is published", async () => {
    const files = convertedFiles();
    files.set("params_shard_1.bin", noise(50_000, 77));
    const { get, home } = await world(files);
    await expect(get()).rejects.toMatchObject({
      code: "E_DOWNLOAD_MD5",
      message: expect.stringMatching(/params_shard_1.*expected md5/),
    });
    expect(await readdir(path.join(home, ".cache/mlc_llm/model_weights/hf/org"))).toEqual([
      expect.stringContaining(".incomplete-"),
    ]);
  });

  test("made by upstream in the same place are used", async () => {
    const { get, home, hub } = await world(convertedFiles());
    const folder = path.join(home, ".cache/mlc_llm/model_weights/hf/org/model");
    await mkdir(folder, { recursive: true });
    const files = convertedFiles();
    files.delete("params_shard_9.bin");
    for (const [name, bytes] of files) await writeFile(path.join(folder, name), bytes);
    expect(await get()).toMatchObject({ folder, commit: undefined });
    expect(hub.requests).toEqual([]);
  });

  test("keep the old entry when a REDO fails (T20)", async () => {
    const { get, hub } = await world(convertedFiles());
    const { folder } = await get();
    const before = await fingerprint(folder);
    hub.faults = [{ door: "store", times: 1e9, skip: 1, does: { kind: "cut", afterBytes: 0 } }];
    await expect(get({ cachePolicy: "REDO" })).rejects.toThrow();
    expect(await fingerprint(folder)).toEqual(before);
    hub.faults = [];
    await get({ cachePolicy: "REDO" });
    expect(await readdir(path.dirname(folder))).toEqual(["model"]);
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

test("a missing tokenizer is told, missing optional files are not (T19, T28)", async () => {
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

test("too small a disk is refused before the first byte, with both numbers; it can be overridden", async () => {
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

test("the output's space is counted too", async () => {
  const { hub, home } = await world();
  const deps = testDeps(home, { HF_ENDPOINT: hub.endpoint }, { freeBytes: async () => 10e9 });
  const source = await resolveSource("org/model", {}, deps);
  const output = { folder: path.join(home, "out"), nbytes: 10e9 };
  await expect(acquire(source, { output }, deps)).rejects.toMatchObject({ code: "E_DISK_SPACE" });
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
    const folder = await temporaryFolder();
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

describe("the Hugging Face hub cache", () => {
  test("is read: a complete snapshot there is used where it lies", async () => {
    const { get, hub, home } = await world();
    const made = await get({ hfCache: true });
    expect(
      made.folder.startsWith(path.join(home, ".cache/huggingface/hub/models--org--model/snapshots")),
    ).toBe(true);
    const before = await fingerprint(path.join(home, ".cache/huggingface"));
    hub.requests.length = 0;
    expect((await get()).folder).toBe(made.folder);
    expect(hub.storeBytes).toBe(0);
    expect(await fingerprint(path.join(home, ".cache/huggingface"))).toEqual(before);
  });

  test("gives its blobs when its snapshot is partial, verified, and is left as it was", async () => {
    const { get, hub, home } = await world();
    const made = await get({ hfCache: true });
    await rm(path.join(made.folder, SHARD));
    await writeFile(
      path.join(made.folder, "model-00002-of-00002.safetensors"),
      noise((await stat(path.join(made.folder, "model-00002-of-00002.safetensors"))).size, 8),
    );
    const before = (await fingerprint(path.join(home, ".cache/huggingface"))).map(
      (line) => line.split(" ")[0],
    );
    hub.requests.length = 0;
    const model = await get();
    expect(model.folder).not.toBe(made.folder);
    await expectFiles(model.folder, checkpointFiles());
    expect(hub.storeBytes).toBe(checkpointFiles().get(SHARD)?.byteLength);
    expect(
      (await fingerprint(path.join(home, ".cache/huggingface"))).map((line) => line.split(" ")[0]),
    ).toEqual(before);
  });

  test("is written in its own layout, with relative links, refs and the tag", async () => {
    const { get, home } = await world();
    const { folder, commit } = await get({ hfCache: true });
    const root = path.join(home, ".cache/huggingface/hub");
    expect(await readFile(path.join(root, "models--org--model/refs/main"), "utf8")).toBe(commit);
    expect(await readFile(path.join(root, "CACHEDIR.TAG"), "utf8")).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55/,
    );
    const target = await readlink(path.join(folder, SHARD));
    expect(target).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(await readlink(path.join(folder, "config.json"))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
  });

  test("works without links: snapshots hold real files and no data lies twice (T33)", async () => {
    const { get, home, hub } = await world(checkpointFiles(), { HF_HUB_DISABLE_SYMLINKS: "1" });
    const { folder } = await get({ hfCache: true });
    await expectFiles(folder, checkpointFiles());
    expect((await lstat(path.join(folder, SHARD))).isFile()).toBe(true);
    expect(await readdir(path.join(home, ".cache/huggingface/hub/models--org--model/blobs"))).toEqual([]);
    hub.requests.length = 0;
    await get({ hfCache: true });
    expect(hub.storeBytes).toBe(0);
  });

  test("never gives some other snapshot", async () => {
    const { get } = await world();
    await get({ hfCache: true });
    await expect(get({ localFilesOnly: true, revision: "v2" })).rejects.toMatchObject({
      code: "E_NOT_CACHED",
    });
  });

  test("copied to another machine it still works", async () => {
    const { get, home } = await world();
    await get({ hfCache: true });
    const other = await world();
    const hf = path.join(other.home, ".cache/huggingface");
    await cp(path.join(home, ".cache/huggingface"), hf, { recursive: true, verbatimSymlinks: true });
    expect((await other.get({ localFilesOnly: true })).folder.startsWith(hf)).toBe(true);
  });
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
