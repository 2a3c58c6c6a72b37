import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HOST_HEADERS } from "../../src/web/host-headers.ts";
import type { ServedDirectory } from "../../src/web/serve-directory.ts";
import { serveDirectory } from "../../src/web/serve-directory.ts";
import { writeModel } from "./model-fixture.ts";

let folder: string;
let served: ServedDirectory;

beforeAll(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "mlc-convert-served-")), "model");
  await mkdir(folder);
  await writeModel(folder);
  served = await serveDirectory(folder);
});
afterAll(async () => {
  await served.close();
  await rm(dirname(folder), { recursive: true, force: true });
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(served.url + path, { headers });

describe("serving a converted model", () => {
  it("sends the file with every header a page of another origin needs", async () => {
    const response = await get("params_shard_0.bin");
    const expected = await readFile(join(folder, "params_shard_0.bin"));
    expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true);
    for (const { name, value } of HOST_HEADERS) expect(response.headers.get(name)).toBe(value);
    expect(response.headers.get("Content-Length")).toBe(String(expected.length));
    expect(response.headers.get("Accept-Ranges")).toBe("bytes");
  });

  it("answers every kind of range with exactly those bytes", async () => {
    const whole = await readFile(join(folder, "params_shard_1.bin"));
    const n = whole.length;
    for (const [range, from, to] of [
      ["bytes=0-0", 0, 1],
      ["bytes=10-19", 10, 20],
      ["bytes=8000-", 8000, n],
      ["bytes=-5", n - 5, n],
    ] as const) {
      const response = await get("params_shard_1.bin", { Range: range });
      expect(response.status, range).toBe(206);
      expect(response.headers.get("Content-Range"), range).toBe(`bytes ${from}-${to - 1}/${n}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      expect(bytes.equals(whole.subarray(from, to)), range).toBe(true);
    }
    expect((await get("params_shard_1.bin", { Range: `bytes=${n}-` })).status).toBe(416);
  });

  it("serves the files where WebLLM looks for them", async () => {
    const response = await get("resolve/main/mlc-chat-config.json");
    expect(await response.json()).toMatchObject({ model_type: "llama" });
  });

  it("lets the page load nothing from elsewhere", async () => {
    const page = await get("");
    expect(page.headers.get("Content-Type")).toContain("text/html");
    expect(page.headers.get("Content-Security-Policy")).toContain("default-src 'self'");
  });

  it("answers a preflight request", async () => {
    const response = await fetch(served.url, { method: "OPTIONS" });
    expect(response.status).toBe(204);
    expect(response.headers.get("Access-Control-Allow-Headers")).toContain("Range");
    expect((await fetch(served.url, { method: "POST" })).status).toBe(405);
  });

  it("serves nothing outside the folder, and nothing hidden", async () => {
    await writeFile(join(folder, ".secret"), "hidden");
    await writeFile(join(dirname(folder), `${basename(folder)}-beside`), "beside");
    for (const path of [
      ".secret",
      "..%2f..%2fetc/passwd",
      `..%2f${basename(folder)}-beside`,
      `%2e%2e/${basename(folder)}-beside`,
      "-/..%2f..%2fpackage.json",
      "nothing.bin",
      "%00",
      "%ff",
    ])
      expect([400, 403, 404], path).toContain((await get(path)).status);
  });

  it("refuses a folder that is no converted model", async () => {
    await expect(serveDirectory(dirname(folder))).rejects.toMatchObject({ code: "E_MODEL_DIRECTORY" });
  });

  it("refuses a port that is taken", async () => {
    const { port } = new URL(served.url);
    await expect(serveDirectory(folder, { port: Number(port) })).rejects.toMatchObject({ code: "E_SERVE" });
  });
});
