import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe } from "vitest";

/** Whether a program can be started here. */
function hasProgram(name: string): boolean {
  return spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined;
}

/** Whether a package is installed; those of other platforms never are. */
function hasPackage(name: string): boolean {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return folders.some((folder) => existsSync(join(folder, name, "package.json")));
}

interface Needs {
  readonly feature: string;
  readonly programs: readonly string[];
  readonly packages?: readonly string[];
  /** Files that a script of ours fetches, by the command that does so. */
  readonly fetched?: Readonly<Record<string, string>>;
}

/**
 * Declares tests that need programs or packages which a developer's machine may lack.
 *
 * Without them the tests are listed as skipped, and the reason is printed; where the environment variable
 * MLC_CONVERT_REQUIRE (a list with commas) names `feature`, as in CI, the suite fails instead.
 */
export function describeWith(needs: Needs, tests: () => void): void {
  const { feature, programs, packages = [], fetched = {} } = needs;
  const missing = [
    ...Object.keys(fetched).filter((command) => !existsSync(fetched[command] ?? "")),
    ...programs.filter((program) => !hasProgram(program)),
    ...packages.filter((name) => !hasPackage(name)),
  ];
  if (missing.length === 0) {
    describe(feature, tests);
    return;
  }
  const reason = `${feature}: NOT RUN, missing ${missing.join(", ")}`;
  const required = (process.env.MLC_CONVERT_REQUIRE ?? "").split(",").includes(feature);
  if (required) throw new Error(`${reason}, but MLC_CONVERT_REQUIRE names it`);
  process.stderr.write(`\n*** ${reason} ***\n\n`);
  describe.skip(reason, tests);
}
