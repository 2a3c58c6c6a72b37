import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const PAPERS = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(ROOT, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
  ...readdirSync(join(ROOT, "docs/adr")).map((name) => `docs/adr/${name}`),
  "examples/README.md",
];

/** Distinct E_… words of all files below a folder. */
function codesBelow(folder: string): ReadonlySet<string> {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  const sources = files.filter((name) => /\.(ts|cpp|h|cu)$/.test(name)).map((name) => join(folder, name));
  return new Set(
    sources.flatMap((path) => read(path).match(/"E_[A-Z0-9_]+"/g) ?? []).map((word) => word.slice(1, -1)),
  );
}

describe("the papers", () => {
  it("list every error code of the source, and no other", () => {
    const listed = [...read("docs/errors.md").matchAll(/^\| `(E_[A-Z0-9_]+)` \|/gm)].map((match) => match[1]);
    const used = [...codesBelow("src"), ...codesBelow("cpp")];
    expect(listed.length).toBeGreaterThan(100);
    expect([...new Set(listed)].sort()).toEqual([...new Set(used)].sort());
    expect(listed.length).toBe(new Set(listed).size);
  });

  it("say about errors what the source says (npm run docs:errors)", () => {
    const script = join(ROOT, "scripts/write-errors-page.mjs");
    const { status, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it("have a line for every run-time dependency, and for no other package", () => {
    const listed = [...read("docs/dependencies.md").matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1]);
    const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
    expect(listed.sort()).toEqual(Object.keys(dependencies).sort());
  });

  it.each(PAPERS)("link to files that exist (%s)", (paper) => {
    const targets = [...read(paper).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
      (match) => match[1] as string,
    );
    const missing = targets.filter((target) => !existsSync(join(ROOT, dirname(paper), target)));
    expect(missing).toEqual([]);
  });

  it("name npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = PAPERS.flatMap((paper) =>
      [...read(paper).matchAll(/npm run ([a-z][\w:-]*)/g)].map((m) => m[1]),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => name !== undefined && !(name in scripts))).toEqual([]);
  });
});

describe("the examples", () => {
  it("convert a folder, verify it, and show a plan", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder);
    const run = (name: string, ...args: string[]): string =>
      execFileSync(process.execPath, [join(ROOT, "examples", name), ...args], { encoding: "utf8" });
    const converted = run("convert-folder.mjs", model, join(folder, "out"));
    expect(converted).toMatch(/params_shard_0\.bin: \d+ bytes, MD5 [0-9a-f]{32}/);
    expect(converted).toMatch(/\d+ tensors in 1 shards, 0 faults/);
    expect(run("inspect-plan.mjs", model)).toMatch(/tensors, \d+ bytes in 1 shards/);
  });

  it("say what is wrong, with the code", async () => {
    const folder = await tempFolder();
    const args = [join(ROOT, "examples/convert-folder.mjs"), folder, join(folder, "out")];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^E_CONFIG_MISSING: /);
  });
});
