import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import type { ConvertEvent } from "../src/core/events.ts";
import { planConversion } from "../src/plan-conversion.ts";
import { acquire } from "../src/source/acquire.ts";
import type { SourceOptions } from "../src/source/options.ts";
import { resolveSource } from "../src/source/resolve-source.ts";
import { goldenPath } from "./gguf/golden.ts";
import { checkpointFiles, startHub, testDeps } from "./source/hub-fixture.ts";
import { tempFolder } from "./support/temp-folder.ts";

const golden = (name: string): Promise<Buffer> => readFile(goldenPath(`files/${name}`));
const PARTS = [1, 2, 3].map((n) => `tiny-qwen2-split-0000${n}-of-00003.gguf`);

/** A repository as GGUF publishers make them: several models, one split in a folder, a projector. */
async function repository(): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>([["README.md", Buffer.from("# model")]]);
  files.set("tiny-Q8_0.gguf", await golden("tiny-llama.gguf"));
  files.set("tiny-Q4_K_M.gguf", await golden("tiny-gemma2.gguf"));
  files.set("mmproj-tiny-f16.gguf", Buffer.from("no model"));
  for (const name of PARTS) files.set(`split/${name}`, await golden(name));
  return files;
}

/** A hub with that repository, and a request that acquires from it into an empty cache. */
async function world(files?: Map<string, Buffer>) {
  const hub = await startHub(files ?? (await repository()));
  const home = await tempFolder();
  const options = { endpoint: hub.endpoint, cacheDir: join(home, "hub") };
  const request = (more: object = {}) => ({
    model: "org/model",
    quantization: "q0f16",
    sync: false,
    threads: 2,
    acquire: { ...options, ...more },
  });
  return { hub, home, request };
}

/** Fetches what a conversion would take where no GGUF file is named. */
async function acquireAll(options: SourceOptions): Promise<void> {
  const deps = testDeps(await tempFolder());
  await acquire(await resolveSource("org/model", options, deps), options, deps);
}

/** Names of the files in the cache's snapshots. */
async function cached(home: string): Promise<readonly string[]> {
  const entries = await readdir(join(home, "hub"), { recursive: true });
  return entries.filter((name) => name.includes("snapshots") && name.endsWith(".gguf")).sort();
}

describe("GGUF models of the hub", () => {
  it("are converted from the one file that is named, and no other is fetched", async () => {
    const { home, request } = await world();
    const output = join(home, "out");
    const report = await convert({ ...request({ ggufFile: "Q8_0" }), output });
    expect(report).toMatchObject({ sourceFormat: "gguf", architecture: "llama" });
    expect(await cached(home)).toEqual([expect.stringMatching(/tiny-Q8_0\.gguf$/)]);
    const local = join(home, "local");
    await convert({ ...request(), model: goldenPath("files/tiny-llama.gguf"), output: local });
    for (const name of ["tensor-cache.json", "params_shard_0.bin", "mlc-chat-config.json", "tokenizer.json"])
      expect.soft((await readFile(join(output, name))).equals(await readFile(join(local, name)))).toBe(true);
  });

  it("come with all parts of a split model", async () => {
    const { home, request } = await world();
    const report = await convert({ ...request({ ggufFile: PARTS[1] }), output: join(home, "out") });
    expect(report.architecture).toBe("qwen2");
    expect(await cached(home)).toHaveLength(3);
  });

  it("are planned from their headers before anything is kept", async () => {
    const { home, request } = await world();
    const { plan, model } = await planConversion(request({ ggufFile: "tiny-Q4*" }));
    expect(plan).toMatchObject({ architecture: "gemma2", sourceFormat: "gguf" });
    expect(model.origin).toMatchObject({ id: "org/model" });
    await expect(access(join(home, "hub"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("are listed where none is named, with what to do", async () => {
    const { request } = await world();
    const failure = planConversion(request());
    await expect(failure).rejects.toMatchObject({
      code: "E_GGUF_FILE",
      hint: expect.stringContaining("--gguf-file"),
    });
    await expect(failure).rejects.toThrow(/tiny-Q4_K_M\.gguf \(0\.00 GB\)/);
    await expect(failure).rejects.not.toThrow(/mmproj/);
    await expect(planConversion(request({ ggufFile: "Q2_K" }))).rejects.toMatchObject({
      code: "E_GGUF_FILE",
      message: expect.stringContaining("that fits Q2_K, found 0"),
    });
  });

  it("need no name where there is only one", async () => {
    const { request } = await world(new Map([["only.gguf", await golden("tiny-llama.gguf")]]));
    expect((await planConversion(request())).plan.sourceFormat).toBe("gguf");
    expect((await planConversion({ ...request(), sourceFormat: "gguf" })).plan.sourceFormat).toBe("gguf");
  });

  it("are fetched although the repository's checkpoint is cached", async () => {
    const files = await repository();
    for (const [name, bytes] of checkpointFiles()) files.set(name, bytes);
    const { home, request } = await world(files);
    await acquireAll(request().acquire);
    expect(await cached(home)).toEqual([]);
    const { sourceFormat } = await convert({
      ...request({ ggufFile: "Q8_0" }),
      output: join(home, "out"),
    });
    expect(sourceFormat).toBe("gguf");
  });

  it("are used from the cache without the network", async () => {
    const { hub, home, request } = await world();
    await convert({ ...request({ ggufFile: "Q8_0" }), output: join(home, "one") });
    await hub.close();
    const again = request({ ggufFile: "Q8_0", localFilesOnly: true });
    const report = await convert({ ...again, output: join(home, "two") });
    expect(report.sourceFormat).toBe("gguf");
    const other = request({ ggufFile: "Q4_K_M", localFilesOnly: true });
    await expect(planConversion(other)).rejects.toMatchObject({ code: "E_NOT_CACHED" });
  });

  it("become GGUF again with their tokenizer, planned from afar as from here", async () => {
    const { home, request } = await world();
    const events: ConvertEvent[] = [];
    const file = join(home, "new.gguf");
    const to = { format: "gguf" as const, quantization: "Q8_0", output: file };
    await convert({ ...request({ ggufFile: "Q8_0" }), ...to }, { onEvent: (event) => events.push(event) });
    const local = join(home, "local.gguf");
    await convert({ ...request(), ...to, model: goldenPath("files/tiny-llama.gguf"), output: local });
    expect((await readFile(file)).equals(await readFile(local))).toBe(true);
    expect(events).toContainEqual({ type: "phase", phase: "download" });
  });
});
