import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOM = fileURLToPath(new URL("../../src/source/", import.meta.url));
const PAGE = fileURLToPath(new URL("../../docs/errors.md", import.meta.url));

test("every error code of acquisition is explained in docs/errors.md", async () => {
  const page = await readFile(PAGE, "utf8");
  const codes = new Set<string>();
  for (const name of await readdir(ROOM)) {
    for (const [code] of (await readFile(ROOM + name, "utf8")).matchAll(/\bE_[A-Z0-9_]+\b/g)) codes.add(code);
  }
  const real = [...codes].filter((code) => !code.endsWith("_"));
  expect(real.length).toBeGreaterThan(30);
  expect(real.filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
});
