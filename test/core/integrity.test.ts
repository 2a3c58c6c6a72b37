import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { integrityOf, readFileIntegrity } from "../../src/core/integrity.ts";
import { tempFolder } from "../support/temp-folder.ts";

describe("integrity", () => {
  it("is the size in bytes and the SHA-256 in base64", () => {
    expect(integrityOf("abc")).toEqual({
      nbytes: 3,
      integrity: "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    });
    expect(integrityOf("é").nbytes).toBe(2);
  });

  it("of a file equals that of its bytes, over many pieces", async () => {
    const path = join(await tempFolder(), "file");
    const bytes = Buffer.alloc(300_000, "model");
    await writeFile(path, bytes);
    expect(await readFileIntegrity(path)).toEqual(integrityOf(bytes));
    await expect(readFileIntegrity(`${path}-missing`)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
