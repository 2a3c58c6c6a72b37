import { truncateSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hashFiles } from "../../src/execute/hash-files.ts";
import { tempFolder } from "../support/temp-folder.ts";

const budget = { threads: 1, lanes: 1, ahead: 0, tileBytes: 128 * 1024, keptBytes: 0 };

it("tells of a file that changes while it is hashed", async () => {
  const path = join(await tempFolder(), "shard");
  await writeFile(path, "");
  const nbytes = 512 * 2 ** 20; // a second for the reference
  await truncate(path, nbytes);
  const hashing = hashFiles([{ path }], {
    backend: "reference",
    budget,
    onBytes: () => truncateSync(path, 1000),
  });
  await expect(hashing).rejects.toMatchObject({
    name: "CheckpointError",
    code: "E_SOURCE_CHANGED",
    message: `${path}: expected ${nbytes} bytes, found 1000`,
  });
});
