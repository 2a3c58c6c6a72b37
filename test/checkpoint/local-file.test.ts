import { rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { openLocalFile } from "../../src/checkpoint/local-file.ts";
import { failureOf } from "../support/failure-of.ts";
import { tempFolder } from "../support/temp-folder.ts";

describe("a local file", () => {
  it("is read in ranges", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "a"), "0123456789");
    const file = await openLocalFile(folder, "a");
    expect(file).toMatchObject({ name: "a", path: path.join(folder, "a"), size: 10 });
    expect(Buffer.from((await file?.read(3, 6)) ?? []).toString()).toBe("345");
  });

  it("gives what is left when it has shrunk, and an error when it is gone", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "a"), "0123456789");
    const file = await openLocalFile(folder, "a");
    await truncate(path.join(folder, "a"), 4);
    expect(await file?.read(2, 10)).toHaveLength(2);
    await rm(path.join(folder, "a"));
    const error = await failureOf(() => file?.read(0, 4));
    expect(error.code).toBe("E_SOURCE_UNREADABLE");
    expect(error.message).toContain("ENOENT");
  });

  it("is absent when there is nothing, or a folder", async () => {
    const folder = await tempFolder();
    expect(await openLocalFile(folder, "nothing")).toBeUndefined();
    expect(await openLocalFile(path.dirname(folder), path.basename(folder))).toBeUndefined();
  });
});
