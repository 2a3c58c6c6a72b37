import { cp, lstat, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { listFiles, scanCacheDir } from "@huggingface/hub";
import { describe, expect, test } from "vitest";
import { expectFiles, fingerprint, SHARD, WANTED, world } from "./acquire-fixture.ts";
import { checkpointFiles, noise } from "./hub-fixture.ts";

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

test("the hub's own library understands the cache and the server", async () => {
  const { get, hub, home } = await world();
  const { commit } = await get({ hfCache: true });
  const info = await scanCacheDir(path.join(home, ".cache/huggingface/hub"));
  expect(info.warnings).toEqual([]);
  const [repo] = info.repos;
  expect(repo?.id).toEqual({ name: "org/model", type: "model" });
  expect(repo?.revisions.map((revision) => revision.commitOid)).toEqual([commit]);
  expect(repo?.revisions[0]?.files.map((file) => path.basename(file.path)).sort()).toEqual(WANTED);
  const listed: string[] = [];
  for await (const file of listFiles({ repo: "org/model", hubUrl: hub.endpoint, recursive: true }))
    listed.push(file.path);
  expect(listed).toContain("original/consolidated.00.pth");
});
