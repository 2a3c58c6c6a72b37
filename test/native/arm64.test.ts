import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { CLI } from "../support/cli.ts";
import { buildGoldenCase, GOLDEN_CASES, readGoldenCase } from "../support/golden-case.ts";
import { compareWithGolden } from "../support/golden-conversion.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** Starts Node for arm64, words apart; `npm run check-arm64` sets it, and builds the addon first. */
const NODE = process.env.MLC_CONVERT_ARM64_NODE?.split(" ");
const MINUTES = 60_000;

if (!NODE) process.stderr.write("\n*** the arm64 addon: NOT RUN, npm run check-arm64 does it ***\n\n");

describe.skipIf(!NODE)("the addon for arm64, in a Node for arm64 under emulation", () => {
  function run(...words: readonly string[]): string {
    const [program = "", ...first] = NODE ?? [];
    const env = { ...process.env, PREBUILDS_ONLY: "1" };
    return execFileSync(program, [...first, CLI, ...words], { env, encoding: "utf8", stdio: "pipe" });
  }

  it("loads and computes with NEON", { timeout: 2 * MINUTES }, () => {
    const facts = JSON.parse(run("doctor", "--json").trim().split("\n").at(-1) ?? "");
    expect(facts.platform).toBe("linux-arm64");
    expect(facts.backends).toContainEqual({ name: "neon", available: true });
  });

  it("makes recorded conversions byte for byte", { timeout: 10 * MINUTES }, async () => {
    const golden = await readGoldenCase(new URL("llama-0.json", GOLDEN_CASES));
    const folder = await tempFolder();
    await buildGoldenCase(golden, folder);
    const chosen = Object.entries(golden.conversions).filter(([name]) => /^q[034]f(16|32)_[012]$/.test(name));
    expect(chosen.length).toBeGreaterThan(3);
    const schemes = chosen.flatMap(([name]) => ["-q", name]);
    const flags = ["--weights-only", "--no-legacy-index", "--no-fsync", "--quiet"];
    run("convert", folder, ...schemes, "-o", `${folder}/{quantization}`, ...flags);
    for (const [name, expected] of chosen) {
      if ("error" in expected) throw new Error(`${name} was recorded as refused`);
      await compareWithGolden(`${folder}/${name}`, expected);
    }
  });
});
