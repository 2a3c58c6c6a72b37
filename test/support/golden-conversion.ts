import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { convert } from "../../src/convert.ts";
import { MlcConvertError } from "../../src/core/errors.ts";
import { verify } from "../../src/verify.ts";
import type { GoldenCase, GoldenConversion, GoldenShard } from "./golden-case.ts";

/** What upstream refuses and we convert: its map names tensors that its own model does not have. */
const isMended = ({ golden, quantization }: GoldenRun): boolean =>
  golden.architecture === "gptj" && !quantization.includes("preshard");
/** Above this, files are read back by the addon, whose hashes the small cases hold against Node's. */
const LARGE_SHARD_BYTES = 8 * 2 ** 20;

/** One recorded conversion that is to be repeated. */
export interface GoldenRun {
  readonly golden: GoldenCase;
  /** Folder of the case's input. */
  readonly folder: string;
  readonly quantization: string;
  readonly backend: string;
  /** Default: the processor. */
  readonly device?: string;
  readonly threads: number;
}

const md5 = (bytes: Uint8Array | string): string => createHash("md5").update(bytes).digest("hex");

async function run({ golden, folder, quantization, backend, device, threads }: GoldenRun): Promise<string> {
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
    ...(device === undefined ? {} : { device }),
    threads,
    sync: false,
    legacyIndex: false,
    weightsOnly: true,
    ...(preshard === undefined ? {} : { preshard: Number(preshard) }),
  });
  return output;
}

interface Index {
  readonly records: readonly {
    readonly dataPath: string;
    readonly nbytes: number;
    readonly md5sum: string;
    readonly records: readonly {
      readonly name: string;
      readonly dtype: string;
      readonly shape: readonly number[];
      readonly byteOffset: number;
      readonly nbytes: number;
    }[];
  }[];
}

/** Repeats a conversion, compares every file with what was recorded, and removes the result. */
export async function checkGoldenRun(attempt: GoldenRun, expected: GoldenConversion): Promise<void> {
  if ("error" in expected) {
    if (!isMended(attempt)) {
      await expect(run(attempt)).rejects.toBeInstanceOf(MlcConvertError);
      return;
    }
    expect((await verify(await run(attempt))).faults).toEqual([]);
    return;
  }
  const output = await run(attempt);
  await compareWithGolden(output, expected);
  await rm(output, { recursive: true });
}

/** Compares every file of a finished conversion with what was recorded. */
export async function compareWithGolden(
  output: string,
  expected: Exclude<GoldenConversion, { error: string }>,
): Promise<void> {
  const index = await readFile(join(output, "tensor-cache.json"), "utf8");
  const { records } = JSON.parse(index) as Index;
  const large = records.some(({ nbytes }) => nbytes > LARGE_SHARD_BYTES);
  if (large) expect((await verify(output)).faults).toEqual([]);
  const layout = records.map(({ dataPath, nbytes, records: inside }) => [
    dataPath,
    nbytes,
    inside.map(({ name, dtype, shape, byteOffset, nbytes: size }) => [name, dtype, shape, byteOffset, size]),
  ]);
  expect(layout).toEqual(
    expected.shards.map(([path, nbytes, , inside]) => [path, nbytes, inside.map(place)]),
  );
  for (const [at, { dataPath, md5sum }] of records.entries()) {
    const shard = expected.shards[at] as GoldenShard;
    const found = large ? md5sum : md5(await readFile(join(output, dataPath)));
    if (found !== shard[2]) await explain(join(output, dataPath), shard);
    expect([dataPath, md5sum]).toEqual([dataPath, shard[2]]);
  }
  expect(/"metadata": (\{[^}]*\})/.exec(index)?.[1]?.replace(/\s+/g, " ")).toBe(expected.metadata);
  expect(md5(index)).toBe(expected.tensorCacheMd5);
  expect((await readdir(output)).sort()).toEqual([...expected.files].sort());
  if (expected.tensorCacheB16Md5) {
    expect(md5(await readFile(join(output, "tensor-cache-b16.json")))).toBe(expected.tensorCacheB16Md5);
  }
}

const place = ([name, dtype, shape, byteOffset, nbytes]: GoldenShard[3][number]): unknown[] => [
  name,
  dtype,
  shape,
  byteOffset,
  nbytes,
];

/** Fails naming the tensors whose bytes differ. */
async function explain(file: string, [path, , , inside]: GoldenShard): Promise<never> {
  const bytes = await readFile(file);
  const differing = inside.filter(([, , , offset, nbytes, hash]) => {
    return md5(bytes.subarray(offset, offset + nbytes)) !== hash;
  });
  throw new Error(`${path} differs in ${differing.map(([name]) => name).join(", ")}`);
}
