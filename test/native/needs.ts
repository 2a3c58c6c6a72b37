import { spawnSync } from "node:child_process";
import { describe } from "vitest";

/** Whether a program can be started here. */
function hasProgram(name: string): boolean {
  return spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined;
}

/**
 * Declares tests that need programs which a developer's machine may lack.
 *
 * Without them the tests are listed as skipped, and the reason is printed; where the environment variable
 * MLC_CONVERT_REQUIRE (a list with commas) names `feature`, as in CI, the suite fails instead.
 */
export function describeWith(
  { feature, programs }: { readonly feature: string; readonly programs: readonly string[] },
  tests: () => void,
): void {
  const missing = programs.filter((program) => !hasProgram(program));
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
