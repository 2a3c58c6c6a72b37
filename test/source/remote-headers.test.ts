import { expect, test } from "vitest";
import { openRemoteHeaders } from "../../src/source/remote-headers.ts";
import { resolveSource } from "../../src/source/resolve-source.ts";
import { checkpointFiles, QUICK, safetensors, startHub, temporaryFolder, testDeps } from "./hub-fixture.ts";

const SHARD = "model-00001-of-00002.safetensors";

async function headersOf(files: Map<string, Buffer>) {
  const hub = await startHub(files);
  const deps = testDeps(await temporaryFolder(), { HF_ENDPOINT: hub.endpoint });
  const options = { download: { timing: QUICK } };
  const source = await resolveSource("org/model", options, deps);
  if (source.kind !== "remote") throw new Error("expected a remote source");
  return { hub, read: () => openRemoteHeaders(source, options, deps) };
}

test("headers and configuration are read without the weights", async () => {
  const files = checkpointFiles(500_000);
  const { hub, read } = await headersOf(files);
  const { headers, texts } = await read();
  const bytes = files.get(SHARD) ?? Buffer.of();
  const header = bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE()));
  expect(headers.get(SHARD)?.size).toBe(bytes.byteLength);
  expect(headers.get(SHARD)?.header.subarray(0, header.byteLength).equals(header)).toBe(true);
  expect([...headers.keys()]).toEqual([SHARD, "model-00002-of-00002.safetensors"]);
  expect(texts.get("config.json")).toEqual(files.get("config.json"));
  expect([...texts.keys()].sort()).toEqual(["config.json", "model.safetensors.index.json"]);
  expect(hub.storeBytes).toBe(200_000);
});

test("a header longer than the first request is read to its end", async () => {
  const names = Array.from({ length: 4000 }, (_, i) => `model.layers.${i}.self_attn.q_proj.weight`);
  const files = checkpointFiles().set(SHARD, safetensors(names, 1));
  const { read } = await headersOf(files);
  const header = (await read()).headers.get(SHARD)?.header ?? Buffer.of();
  expect(header.byteLength).toBeGreaterThan(100_000);
  expect(Object.keys(JSON.parse(header.subarray(8).toString()))).toEqual(names);
});

test.each([
  ["too short a file", Buffer.alloc(4), /it has 4 bytes/],
  [
    "a header beyond the file",
    Buffer.concat([Buffer.from([255, 255, 0, 0, 0, 0, 0, 0]), Buffer.alloc(10)]),
    /end at byte 65543 of 18/,
  ],
  ["an absurd header", Buffer.alloc(100, 0x7f), /header would have/],
])("%s is refused", async (_name, bytes, message) => {
  const { read } = await headersOf(checkpointFiles().set(SHARD, bytes));
  await expect(read()).rejects.toMatchObject({
    code: "E_REMOTE_HEADER",
    message: expect.stringMatching(message),
  });
});

test("a server without ranges is still read", async () => {
  const { hub, read } = await headersOf(checkpointFiles());
  hub.faults = [{ door: "store", times: 1e9, does: { kind: "ignore-range" } }];
  expect((await read()).headers.size).toBe(2);
});
