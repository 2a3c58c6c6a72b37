import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listBackends } from "../src/native/addon.ts";
import { buildGoldenCase, GOLDEN_CASES, LARGE_CASES, readGoldenCase } from "./support/golden-case.ts";
import { checkGoldenRun } from "./support/golden-conversion.ts";
import { tempFolder } from "./support/temp-folder.ts";

const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));
/** The reference, which is slow, repeats every small case; of a large one it takes the last quantization only. */
const fast = BACKENDS.filter((name) => name !== "reference");

describe("every recorded conversion of many shards comes out byte for byte", () => {
  for (const name of LARGE_CASES) {
    it(`${name}, with ${fast.join(", ")}, and its last quantization with the reference`, {
      timeout: 300_000,
    }, async () => {
      const file = new URL(`${name}.json`, GOLDEN_CASES);
      expect(existsSync(file)).toBe(true);
      const golden = await readGoldenCase(file);
      const folder = await tempFolder();
      await buildGoldenCase(golden, folder);
      const last = Object.keys(golden.conversions).at(-1);
      for (const [quantization, expected] of Object.entries(golden.conversions)) {
        const backends = quantization === last || fast.length === 0 ? BACKENDS : fast;
        for (const [index, backend] of backends.entries()) {
          const attempt = { golden, folder, quantization, backend, threads: 2 - (index % 2) };
          await checkGoldenRun(attempt, expected).catch((cause: unknown) => {
            throw new Error(`${quantization} with ${backend}: ${(cause as Error).message}`, { cause });
          });
        }
      }
    });
  }
});
