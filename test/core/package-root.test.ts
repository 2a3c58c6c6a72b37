import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PACKAGE_ROOT, VERSION } from "../../src/core/package-root.ts";

describe("the package's own folder", () => {
  it("is found, with its version", () => {
    const manifest = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8"));
    expect(manifest).toMatchObject({ name: "mlc-convert", version: VERSION });
  });

  // In the packed package a module lies in dist/chunks/, wherever it was in src/.
  it("is the only way to its files, except for the registry's, which holds in both places", () => {
    const sources = readdirSync(join(PACKAGE_ROOT, "src"), { recursive: true, encoding: "utf8" });
    const looking = sources.filter((name) => {
      if (!name.endsWith(".ts")) return false;
      return /new URL\([^)]*import\.meta\.url/.test(readFileSync(join(PACKAGE_ROOT, "src", name), "utf8"));
    });
    expect(looking.sort()).toEqual([join("core", "package-root.ts"), join("plan", "registry.ts")]);
  });
});
