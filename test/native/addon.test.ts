import { describe, expect, it } from "vitest";
import { chooseBackend, createJob, listBackends } from "../../src/native/addon.ts";
import { failureOf } from "../support/failure-of.ts";

const JOB = {
  sources: [],
  backend: "reference",
  threads: 1,
  lanes: 1,
  tileBytes: 4096,
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
