import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { MlcConvertError } from "../src/core/errors.ts";
import { listBackends } from "../src/native/addon.ts";
import { compareOutput } from "./support/compare-output.ts";
import { type GoldenCase, type GoldenConversion, readGoldenCase } from "./support/golden-case.ts";
import { tempFolder } from "./support/temp-folder.ts";

const TORCH = fileURLToPath(new URL("./golden/torch/", import.meta.url));
const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));
const CASES = readdirSync(TORCH);

interface Attempt {
  readonly golden: GoldenCase;
  readonly quantization: string;
  readonly backend: string;
  readonly map: boolean;
}

/** Converts a case where it lies; the output folder. */
async function run({ golden, quantization, backend, map }: Attempt): Promise<string> {
  const [name, preshard] = quantization.split(" preshard=") as [string, string | undefined];
  const output = join(await tempFolder(), "out");
  await convert({
    model: join(TORCH, golden.id),
    sourceFormat: golden.sourceFormat,
    quantization: name,
    modelType: golden.architecture,
    output,
    backend,
    map,
    threads: 2,
    sync: false,
    legacyIndex: false,
    weightsOnly: true,
    ...(preshard === undefined ? {} : { preshard: Number(preshard) }),
  });
  return output;
}

async function check(attempt: Attempt, expected: GoldenConversion): Promise<void> {
  if ("error" in expected) await expect(run(attempt)).rejects.toBeInstanceOf(MlcConvertError);
  else await compareOutput(await run(attempt), expected);
}

describe("every recorded PyTorch checkpoint comes out byte for byte", () => {
  it("has cases", () => expect(CASES.length).toBeGreaterThan(0));
  it.each(CASES)(`%s with ${BACKENDS.join(", ")}, mapped and read in pieces`, async (id) => {
    const golden = await readGoldenCase(join(TORCH, id, "case.json"));
    for (const [quantization, expected] of Object.entries(golden.conversions)) {
      for (const [index, backend] of BACKENDS.entries()) {
        await check({ golden, quantization, backend, map: index % 2 === 0 }, expected).catch(
          (cause: unknown) => {
            throw new Error(`${quantization} with ${backend}: ${(cause as Error).message}`, { cause });
          },
        );
      }
    }
  });
});

describe("whole index files equal upstream's, character for character", () => {
  const expected = CASES.flatMap((id) =>
    readdirSync(join(TORCH, id)).flatMap((file) => {
      const parts = /^expected-([^-]+)-(.+\.json)$/.exec(file);
      return parts ? [{ id, file, quantization: parts[1] as string, index: parts[2] as string }] : [];
    }),
  );
  it("has recorded files", () => expect(expected.length).toBe(3));
  it.each(expected)("$quantization of $id: $index", async ({ id, file, quantization, index }) => {
    const golden = await readGoldenCase(join(TORCH, id, "case.json"));
    const output = await run({ golden, quantization, backend: "auto", map: true });
    const text = await readFile(join(TORCH, id, file), "utf8");
    expect(await readFile(join(output, index), "utf8")).toBe(text);
  });
});
