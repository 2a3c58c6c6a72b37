import { expect, test } from "vitest";
import { openRemoteFiles } from "../../src/source/remote-files.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { checkpointFiles, QUICK, safetensors, startHub, testDeps } from "./hub-fixture.ts";

const SHARD = "model-00001-of-00002.safetensors";

async function opened(files: Map<string, Buffer>) {
  const hub = await startHub(files);
  const deps = testDeps(await tempFolder(), { HF_ENDPOINT: hub.endpoint });
  const options = { download: { timing: QUICK } };
  const source = await resolveSource("org/model", options, deps);
  if (source.kind !== "remote") throw new Error("expected a remote source");
  const remote = await openRemoteFiles(source, options, deps);
  const file = (name: string) => {
    const found = remote.find((one) => one.name === name);
    if (!found) throw new Error(`expected ${name} among the chosen files`);
    return found;
  };
  const ranges = () => hub.requests.flatMap(({ door, range }) => (door === "store" ? [range] : []));
  return { hub, remote, file, ranges, content: files.get(SHARD) ?? Buffer.of() };
}

test("nothing is requested before something is read", async () => {
  const { hub, remote, file, content } = await opened(checkpointFiles());
  const before = hub.requests.length;
  expect(remote.map(({ name }) => name)).toContain(SHARD);
  expect(file(SHARD)).toMatchObject({ size: content.length, remote: true });
  expect(file(SHARD).path).toMatch(/^org\/model@[0-9a-f]{40}\/model-00001/);
  expect(hub.requests.length).toBe(before);
});

test("the first read brings what most headers need, and later reads only what is missing", async () => {
  const { file, ranges, content } = await opened(checkpointFiles());
  const shard = file(SHARD);
  expect(await shard.read(0, 8)).toEqual(content.subarray(0, 8));
  expect(await shard.read(8, 90_000)).toEqual(content.subarray(8, 90_000));
  expect(ranges()).toEqual(["bytes=0-99999"]);
  expect(await shard.read(150_000, 150_100)).toEqual(content.subarray(150_000, 150_100));
  expect(await shard.read(99_990, 150_200)).toEqual(content.subarray(99_990, 150_200));
  expect(ranges().slice(1)).toEqual(["bytes=150000-150099", "bytes=100000-149999", "bytes=150100-150199"]);
});

test("texts are read as a whole and checked", async () => {
  const files = checkpointFiles();
  const { hub, file } = await opened(files);
  const config = file("config.json");
  const text = files.get("config.json") ?? Buffer.of();
  expect(await config.read(2, 5)).toEqual(text.subarray(2, 5));
  expect(await config.read(0, text.length)).toEqual(text);
  expect(hub.requests.filter(({ url }) => url.endsWith("/config.json"))).toHaveLength(1);
  hub.faults = [{ door: "resolve", times: 1e9, does: { kind: "wrong-bytes" } }];
  const other = file("tokenizer.json");
  await expect(other.read(0, 1)).rejects.toMatchObject({ code: "E_DOWNLOAD_HASH" });
});

test("a server without ranges still gives the beginning of a file, and the rest is refused plainly", async () => {
  const { hub, file, content } = await opened(checkpointFiles());
  hub.faults = [{ door: "store", times: 1e9, does: { kind: "ignore-range" } }];
  expect(await file(SHARD).read(0, 100)).toEqual(content.subarray(0, 100));
  await expect(file(SHARD).read(150_000, 150_010)).rejects.toMatchObject({
    code: "E_DOWNLOAD_NO_RANGES",
    hint: expect.stringContaining("mlc-convert download"),
  });
});

test("a wrong Content-Range is asked for again", async () => {
  const { hub, file, content } = await opened(
    checkpointFiles().set(SHARD, safetensors(["a.weight"], 90_000)),
  );
  hub.faults = [{ door: "store", does: { kind: "content-range", wrong: "start" } }];
  const shard = await file(SHARD).read(0, 100);
  expect(shard.byteLength).toBe(100);
  expect(shard).not.toEqual(content.subarray(1, 101));
});
