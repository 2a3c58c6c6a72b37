import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listBackends } from "../src/native/addon.ts";
import { buildGoldenCase, GOLDEN_CASES, isLargeCase, readGoldenCase } from "./support/golden-case.ts";
import { checkGoldenRun } from "./support/golden-conversion.ts";
import { tempFolder } from "./support/temp-folder.ts";

const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));
const only = process.env.MLC_CONVERT_GOLDEN;

describe("every recorded conversion comes out byte for byte", () => {
  const files = readdirSync(GOLDEN_CASES).filter((file) => !isLargeCase(file));
  const chosen = files.filter((file) => !only || file.includes(only));
  it("finds recorded cases", () => expect(files.length).toBeGreaterThan(100));
  for (const file of chosen) {
    it(`${file} with ${BACKENDS.join(", ")}, one and two threads`, { timeout: 120_000 }, async () => {
      const golden = await readGoldenCase(new URL(file, GOLDEN_CASES));
      const folder = await tempFolder();
      await buildGoldenCase(golden, folder);
      for (const [quantization, expected] of Object.entries(golden.conversions)) {
        for (const [index, backend] of BACKENDS.entries()) {
          const attempt = { golden, folder, quantization, backend, threads: 1 + (index % 2) };
          await checkGoldenRun(attempt, expected).catch((cause: unknown) => {
            throw new Error(`${quantization} with ${backend}: ${(cause as Error).message}`, { cause });
          });
        }
      }
    });
  }
});
