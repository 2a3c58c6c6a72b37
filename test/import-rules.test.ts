import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIOME = join(ROOT, "node_modules/@biomejs/biome/bin/biome");

/** What each room must not be able to import. */
const VIOLATIONS: readonly (readonly [room: string, target: string])[] = [
  ["core", "../plan/plan.ts"],
  ["source", "../checkpoint/assemble.ts"],
  ["checkpoint", "../source/deps.ts"],
  ["plan", "../native/addon.ts"],
  ["plan", "../gguf/layout.ts"],
  ["tensor-cache", "../execute/journal.ts"],
  ["gguf", "../checkpoint/gguf.ts"],
  ["execute", "../tensor-cache/layout.ts"],
  ["native", "../plan/plan.ts"],
  ["chat-config", "../plan/plan.ts"],
  ["report", "../plan/plan.ts"],
  ["demo", "../convert.ts"],
  ["web", "../plan/plan.ts"],
  ["hub-server", "../source/deps.ts"],
  ["cli", "../plan/plan.ts"],
];

describe("the import rules", () => {
  let copy = "";
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), "mlc-convert-rules-"));
    mkdirSync(join(copy, "src"));
    for (const name of ["src", "biome.json", ".gitignore", "package.json", "tsconfig.json"]) {
      cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    spawnSync("git", ["init", "-q"], { cwd: copy });
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  const lint = (...paths: string[]) =>
    spawnSync(process.execPath, [BIOME, "lint", "--max-diagnostics=none", ...paths], {
      cwd: copy,
      encoding: "utf8",
    });

  it("hold in the source as it is", { timeout: 120_000 }, () => {
    const { status, stdout, stderr } = lint("src");
    expect(stderr + stdout).not.toMatch(/noRestrictedImports/);
    expect(status).toBe(0);
  });

  it("know every room", () => {
    const rooms = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    const tested = VIOLATIONS.map(([room]) => room);
    expect(rooms.map(({ name }) => name).filter((name) => !tested.includes(name))).toEqual([]);
  });

  it.each(VIOLATIONS)("refuse that %s/ imports %s", { timeout: 120_000 }, (room, target) => {
    const file = join("src", room, "planted.ts");
    writeFileSync(
      join(copy, file),
      `import * as other from "${target}";\n\nexport const planted: unknown = other;\n`,
    );
    const { status, stdout, stderr } = lint(file);
    rmSync(join(copy, file));
    expect(stdout + stderr).toMatch(/noRestrictedImports/);
    expect(status).not.toBe(0);
  });

  it("refuse a cycle", { timeout: 120_000 }, () => {
    const [one, two] = [join("src/core", "planted-one.ts"), join("src/core", "planted-two.ts")];
    writeFileSync(
      join(copy, one),
      'import { two } from "./planted-two.ts";\n\nexport const one: () => unknown = () => two;\n',
    );
    writeFileSync(
      join(copy, two),
      'import { one } from "./planted-one.ts";\n\nexport const two: () => unknown = () => one;\n',
    );
    const { status, stdout, stderr } = lint("src/core");
    expect(stdout + stderr).toMatch(/noImportCycles/);
    expect(status).not.toBe(0);
  });
});
