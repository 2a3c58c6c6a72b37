import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { MlcConvertError } from "../src/core/errors.ts";
import { listBackends } from "../src/native/addon.ts";
import { compareOutput } from "./support/compare-output.ts";
import {
  buildGoldenCase,
  type GoldenCase,
  type GoldenConversion,
  readGoldenCase,
} from "./support/golden-case.ts";
import { tempFolder } from "./support/temp-folder.ts";

const CASES = new URL("./golden/cases/", import.meta.url);
const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));
const only = process.env.MLC_CONVERT_GOLDEN;

/** What upstream refuses and we convert, each for a reason of docs/errors.md. */
const MENDED: ReadonlySet<string> = new Set(["gptj"]);

interface Run {
  readonly golden: GoldenCase;
  readonly folder: string;
  readonly quantization: string;
  readonly backend: string;
  readonly threads: number;
}

async function run({ golden, folder, quantization, backend, threads }: Run): Promise<string> {
  const [name, preshard] = quantization.split(" preshard=") as [string, string | undefined];
  const output = join(folder, `out ${quantization} ${backend} ${threads}`);
  const source = golden.sourceFormat === "awq" ? { source: join(folder, "model.safetensors") } : {};
  await convert({
    model: folder,
    ...source,
    sourceFormat: golden.sourceFormat,
    quantization: name,
    modelType: golden.architecture,
    output,
    backend,
    threads,
    sync: false,
    legacyIndex: false,
    ...(preshard === undefined ? {} : { preshard: Number(preshard) }),
  });
  return output;
}

async function check(attempt: Run, expected: GoldenConversion): Promise<void> {
  if (!("error" in expected)) return compareOutput(await run(attempt), expected);
  if (MENDED.has(attempt.golden.architecture) && !attempt.quantization.includes("preshard")) {
    await run(attempt);
    return;
  }
  await expect(run(attempt)).rejects.toBeInstanceOf(MlcConvertError);
}

describe("every recorded conversion comes out byte for byte", () => {
  const files = readdirSync(CASES).filter((file) => !only || file.includes(only));
  it("finds recorded cases", () => expect(files.length).toBeGreaterThan(0));
  for (const file of files) {
    it(`${file} with ${BACKENDS.join(", ")}, one and two threads`, async () => {
      const golden = await readGoldenCase(new URL(file, CASES));
      const folder = await tempFolder();
      await buildGoldenCase(golden, folder);
      for (const [quantization, expected] of Object.entries(golden.conversions)) {
        for (const [index, backend] of BACKENDS.entries()) {
          const attempt = { golden, folder, quantization, backend, threads: 1 + (index % 2) };
          await check(attempt, expected).catch((cause: unknown) => {
            throw new Error(`${quantization} with ${backend}: ${(cause as Error).message}`, { cause });
          });
        }
      }
    });
  }
});
