import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { MlcConvertError } from "../src/core/errors.ts";
import { listBackends } from "../src/native/addon.ts";
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

const md5 = (bytes: Uint8Array | string): string => createHash("md5").update(bytes).digest("hex");

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
    weightsOnly: true,
    ...(preshard === undefined ? {} : { preshard: Number(preshard) }),
  });
  return output;
}

async function compare(output: string, expected: GoldenConversion): Promise<void> {
  if ("error" in expected) throw new Error("upstream refused this conversion");
  const index = await readFile(join(output, "tensor-cache.json"), "utf8");
  const { records } = JSON.parse(index) as {
    records: {
      dataPath: string;
      nbytes: number;
      md5sum: string;
      records: { name: string; dtype: string; shape: number[]; byteOffset: number; nbytes: number }[];
    }[];
  };
  const tensors = await Promise.all(
    records.map(async ({ dataPath, nbytes, md5sum, records: inside }) => {
      const bytes = await readFile(join(output, dataPath));
      expect(md5(bytes)).toBe(md5sum);
      const listed = inside.map(({ name, dtype, shape, byteOffset, nbytes: size }) => {
        return [name, dtype, shape, byteOffset, size, md5(bytes.subarray(byteOffset, byteOffset + size))];
      });
      return [dataPath, nbytes, md5sum, listed];
    }),
  );
  expect(tensors).toEqual(expected.shards);
  expect(/"metadata": (\{[^}]*\})/.exec(index)?.[1]?.replace(/\s+/g, " ")).toBe(expected.metadata);
  expect(md5(index)).toBe(expected.tensorCacheMd5);
  expect((await readdir(output)).sort()).toEqual([...expected.files].sort());
  if (expected.tensorCacheB16Md5) {
    expect(md5(await readFile(join(output, "tensor-cache-b16.json")))).toBe(expected.tensorCacheB16Md5);
  }
}

async function check(attempt: Run, expected: GoldenConversion): Promise<void> {
  if (!("error" in expected)) return compare(await run(attempt), expected);
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
