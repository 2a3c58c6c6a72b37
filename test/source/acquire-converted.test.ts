import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { convertedFiles, expectFiles, fingerprint, world } from "./acquire-fixture.ts";
import { noise, repository, startHub } from "./hub-fixture.ts";

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
