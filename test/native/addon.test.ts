import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { chooseBackend, createJob, listBackends } from "../../src/native/addon.ts";
import { CLI } from "../support/cli.ts";
import { failureOf } from "../support/failure-of.ts";
import { tempFolder } from "../support/temp-folder.ts";

const JOB = {
  sources: [],
  backend: "reference",
  threads: 1,
  lanes: 1,
  ahead: 0,
  tileBytes: 4096,
  keptBytes: 0,
  sync: false,
  map: true,
};

describe("backends", () => {
  it("are listed best first; the reference is there and always runs", () => {
    const backends = listBackends();
    expect(backends.find(({ name }) => name === "reference")).toMatchObject({ available: true });
    for (const { available, reason } of backends) expect(available || (reason ?? "").length > 0).toBe(true);
    expect(chooseBackend("auto")).toBe(backends.find(({ available }) => available)?.name);
  });

  it("are never replaced by another where one was named", async () => {
    const error = await failureOf(() => chooseBackend("sse9"));
    expect(error).toMatchObject({ name: "KernelError", code: "E_BACKEND" });
    expect(error.message).toBe('backend "sse9": there is no such backend');
    expect(error.hint).toMatch(/^choose auto or one of .*reference/);
    for (const { name, available } of listBackends()) {
      if (!available) expect(await failureOf(() => chooseBackend(name))).toMatchObject({ code: "E_BACKEND" });
    }
  });
});

describe("a native job", () => {
  it.each([
    ["no backend", { ...JOB, backend: "sse9" }, "E_BACKEND"],
    ["a source that is not there", { ...JOB, sources: [{ path: "/nowhere/x", size: 1 }] }, "E_SOURCE_READ"],
    ["threads that are no number", { ...JOB, threads: Number.NaN }, "E_ARGUMENT"],
  ])("is refused for %s", (_, options, code) => {
    expect(() => createJob(options)).toThrow(expect.objectContaining({ code }));
  });

  it("without shards ends at once", async () => {
    const job = createJob(JOB);
    await job.start(() => expect.unreachable());
    expect(job.progress().bytes).toBe(0);
  });

  it("starts only once", async () => {
    const job = createJob(JOB);
    const done = job.start(() => {});
    expect(() => job.start(() => {})).toThrow(expect.objectContaining({ code: "E_ARGUMENT" }));
    await done;
  });
});

describe("where the addon cannot be loaded", () => {
  /** Runs `doctor` after `preload`, which makes the process see another platform; the error it ends with. */
  function doctor(preload: string, env: NodeJS.ProcessEnv) {
    const words = ["--import", `data:text/javascript,${preload}`, CLI, "doctor", "--json"];
    const result = spawnSync(process.execPath, words, { encoding: "utf8", env: { ...process.env, ...env } });
    return { status: result.status, error: JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "").error };
  }

  it("a platform without a prebuilt binary is told what was found, what is required and what to do", () => {
    const preload = 'Object.defineProperty(process,"platform",{value:"sunos"})';
    const { status, error } = doctor(preload, { PREBUILDS_ONLY: "1" });
    expect(error).toMatchObject({ class: "KernelError", code: "E_ADDON" });
    expect(error.message).toContain(`found sunos-${process.arch}, Node ${process.version} (No native build`);
    expect(error.message).toContain(
      "required is a prebuilt binary for linux (glibc or musl), macOS or Windows",
    );
    expect(error.hint).toContain("reinstall the package for this platform");
    expect(status).toBe(6);
  });

  it("a binary of another version is refused", () => {
    const { status, error } = doctor("process.dlopen=(module)=>{module.exports={}}", {});
    expect(error).toMatchObject({ class: "KernelError", code: "E_ADDON" });
    expect(error.message).toContain("(it was built for another version); required is");
    expect(status).toBe(6);
  });

  it("a binary that the system refuses is told with the system's reason", async () => {
    const folder = await tempFolder();
    await mkdir(`${folder}/build/Release`, { recursive: true });
    await writeFile(`${folder}/build/Release/mlc_convert.node`, "no library");
    const { status, error } = doctor("", { MLC_CONVERT_PREBUILD: folder });
    expect(error.message).toMatch(/found \S+, Node \S+ \(.*mlc_convert\.node.*\); required is/);
    expect(status).toBe(6);
  });
});
