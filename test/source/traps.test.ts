import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const TESTS = fileURLToPath(new URL("../", import.meta.url));
const PAGE = fileURLToPath(new URL("../../docs/acquisition.md", import.meta.url));

/** Titles of all tests, as far as they are written out. */
async function titles(): Promise<string> {
  const names = (await readdir(TESTS, { recursive: true })).filter((name) => name.endsWith(".test.ts"));
  const texts = await Promise.all(names.map((name) => readFile(path.join(TESTS, name), "utf8")));
  return texts.flatMap((text) => text.match(/"[^"\n]*\(T\d+\)[^"\n]*"/g) ?? []).join("\n");
}

test("every trap of docs/acquisition.md has a test that names it, and no test names another", async () => {
  const page = await readFile(PAGE, "utf8");
  const traps = [...page.matchAll(/^\| (T\d+) \|/gm)].map((match) => match[1]);
  expect(traps).toEqual(Array.from({ length: 34 }, (_, index) => `T${index + 1}`));
  const named = new Set([...(await titles()).matchAll(/\((T\d+)\)/g)].map((match) => match[1]));
  expect(traps.filter((trap) => !named.has(trap))).toEqual([]);
  expect([...named].filter((trap) => !traps.includes(trap))).toEqual([]);
});
