import { expect, test } from "vitest";
import type { Fault } from "../../src/hub-server/faults.ts";
import type { HubServer } from "../../src/hub-server/hub-server.ts";
import { HubClient } from "../../src/source/hub-client.ts";
import { readRemoteFile } from "../../src/source/read-remote.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { checkpointFiles, noise, QUICK, repository, startHub, testDeps } from "./hub-fixture.ts";

async function clientOf(hub: HubServer, token?: string) {
  const deps = testDeps(await tempFolder());
  return { client: new HubClient(deps, { endpoint: hub.endpoint, token, timing: QUICK }), deps };
}

test("a revision is resolved to a commit and its files are listed with sizes and hashes", async () => {
  const hub = await startHub(checkpointFiles());
  const { client } = await clientOf(hub);
  const model = await client.resolveRevision("org/model", "main");
  expect(model.commit).toMatch(/^[0-9a-f]{40}$/);
  const files = await client.listFiles(model);
  expect(files).toHaveLength(checkpointFiles().size);
  expect(files.find((file) => file.path === "config.json")).not.toHaveProperty("sha256");
  expect(files.find((file) => file.path.endsWith(".bin"))).toMatchObject({
    size: 2048,
    sha256: expect.any(String),
  });
});

test("a revision with slashes is found", async () => {
  const repo = await repository(checkpointFiles());
  const main = repo.refs.get("main");
  if (main) repo.refs.set("refs/pr/7", main);
  const { client } = await clientOf(await startHub([repo]));
  expect((await client.resolveRevision("org/model", "refs/pr/7")).commit).toBe(main?.sha);
});

test("a list of more than one page is read to its end", async () => {
  const many = new Map(
    Array.from({ length: 2300 }, (_, i) => [`f${i}.txt`, Buffer.from(String(i))] as const),
  );
  const { client } = await clientOf(await startHub(many));
  const files = await client.listFiles(await client.resolveRevision("org/model", "main"));
  expect(new Set(files.map((file) => file.path)).size).toBe(2300);
});

const status = (code: number, headers: Record<string, string> = {}): Fault["does"] => ({
  kind: "status",
  status: code,
  headers,
});

test.each<[string, Fault["does"], string, RegExp]>([
  ["401", status(401), "E_HUB_NO_REPOSITORY", /does not exist, or is private/],
  [
    "401 bad token",
    status(401, { "X-Error-Message": "Invalid credentials in Authorization header" }),
    "E_HUB_BAD_TOKEN",
    /token/,
  ],
  ["401 gated", status(401, { "X-Error-Code": "GatedRepo" }), "E_HUB_GATED", /terms/],
  ["403 gated", status(403, { "X-Error-Code": "GatedRepo" }), "E_HUB_GATED", /terms/],
  ["403", status(403), "E_HUB_FORBIDDEN", /permission/],
  [
    "403 disabled",
    status(403, { "X-Error-Message": "Access to this resource is disabled." }),
    "E_HUB_DISABLED",
    /disabled/,
  ],
  ["404", status(404, { "X-Error-Code": "RepoNotFound" }), "E_HUB_NO_REPOSITORY", /does not exist/],
  [
    "404 revision",
    status(404, { "X-Error-Code": "RevisionNotFound" }),
    "E_HUB_NO_REVISION",
    /revision "main"/,
  ],
  ["404 entry", status(404, { "X-Error-Code": "EntryNotFound" }), "E_HUB_NO_FILE", /no file/],
  ["418", status(418), "E_HUB_PROTOCOL", /418/],
  ["a log-in page", { kind: "not-a-hub" }, "E_HUB_PROTOCOL", /as a hub does/],
  ["circles", { kind: "redirect-loop" }, "E_HUB_REDIRECTS", /circles/],
])("%s is explained and not tried again (T17)", async (_name, does, code, message) => {
  const hub = await startHub(checkpointFiles());
  hub.faults = [{ door: "api", times: Number.POSITIVE_INFINITY, does }];
  const { client, deps } = await clientOf(hub);
  const attempt = client.resolveRevision("org/model", "main");
  await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(deps.events).toEqual([]);
});

test.each([408, 500, 502, 503, 504])("%i is tried again until it passes", async (code) => {
  const hub = await startHub(checkpointFiles());
  hub.faults = [{ door: "api", times: 3, does: status(code) }];
  const { client, deps } = await clientOf(hub);
  await client.resolveRevision("org/model", "main");
  expect(deps.events.filter((event) => event.type === "retry")).toHaveLength(3);
});

test("a server error that stays is reported after five tries", async () => {
  const hub = await startHub(checkpointFiles());
  hub.faults = [{ door: "api", times: 100, does: status(500) }];
  const { client } = await clientOf(hub);
  await expect(client.resolveRevision("org/model", "main")).rejects.toMatchObject({ code: "E_HUB_TROUBLE" });
  expect(hub.requests).toHaveLength(5);
});

test.each([
  ["Retry-After", { "Retry-After": "1" }, 1000],
  ["RateLimit", { RateLimit: '"api";r=0;t=0' }, 1000],
])("a rate limit waits as %s says", async (_name, headers, waitMs) => {
  const hub = await startHub(checkpointFiles());
  hub.faults = [{ door: "api", does: status(429, headers) }];
  const { client, deps } = await clientOf(hub);
  await client.resolveRevision("org/model", "main");
  expect(deps.events).toEqual([expect.objectContaining({ type: "retry", waitMs })]);
});

test("a wait of an hour is not waited for", async () => {
  const hub = await startHub(checkpointFiles());
  hub.faults = [{ door: "api", does: status(429, { "Retry-After": "3600" }) }];
  const { client } = await clientOf(hub);
  await expect(client.resolveRevision("org/model", "main")).rejects.toMatchObject({
    code: "E_HUB_RATE_LIMIT",
  });
});

test("an unreachable hub is a network error", async () => {
  const hub = await startHub(checkpointFiles());
  const { client } = await clientOf(hub);
  await hub.close();
  await expect(client.resolveRevision("org/model", "main")).rejects.toMatchObject({
    code: "E_HUB_UNREACHABLE",
  });
});

test("the token opens private repositories", async () => {
  const hub = await startHub([await repository(checkpointFiles(), "private")], { token: "hf_secret" });
  const without = await clientOf(hub);
  await expect(without.client.resolveRevision("org/model", "main")).rejects.toMatchObject({
    code: "E_HUB_NO_REPOSITORY",
  });
  const { client } = await clientOf(hub, "hf_secret");
  await expect(client.resolveRevision("org/model", "main")).resolves.toBeDefined();
});

test.each(["../x", "/abs", "a\\b", "C:/x", "a//b", "a/./b", "nul"])(
  "the listed path %j is refused",
  async (bad) => {
    const { client } = await clientOf(await startHub(new Map([[bad, noise(10)]])));
    const model = await client.resolveRevision("org/model", "main");
    await expect(client.listFiles(model)).rejects.toMatchObject({ code: "E_REPOSITORY_PATH" });
  },
);

test.each([
  ["HF_HUB_ETAG_TIMEOUT", "api"],
  ["HF_HUB_DOWNLOAD_TIMEOUT", "store"],
] as const)("%s limits the wait for the first header", async (name, door) => {
  const hub = await startHub(checkpointFiles());
  const deps = testDeps(await tempFolder(), { [name]: "0.2", HF_ENDPOINT: hub.endpoint });
  const client = new HubClient(deps, { endpoint: hub.endpoint, token: undefined, timing: QUICK });
  hub.faults = [{ door, times: 1, does: { kind: "silent" } }];
  const begun = performance.now();
  const model = await client.resolveRevision("org/model", "main");
  const file = (await client.listFiles(model)).find(({ path }) => path.endsWith(".bin"));
  if (!file) throw new Error("expected a large file");
  expect((await readRemoteFile({ client, model, deps }, file)).byteLength).toBe(2048);
  expect(performance.now() - begun).toBeLessThan(5000);
  expect(deps.events.filter(({ type }) => type === "retry")).toHaveLength(1);
});
