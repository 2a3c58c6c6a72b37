import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { convert, convertMany } from "../../src/convert.ts";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";
import type { SyntheticTensor } from "../../src/demo/synthetic-tensor.ts";
import { GGUF_FAMILIES } from "../../src/plan/gguf/model.ts";
import { goldenJson, goldenPath } from "../gguf/golden.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { describeWith } from "./needs.ts";
import { TOY_FAMILIES, toyModel } from "./toy-models.ts";

const VOCAB = 512;

/**
 * Largest RMS difference of logits from the F16 file's, as a share of their standard deviation: about 1.3 times what
 * the reference quantizer's types lose on these weights. A wrong order of heads or rows gives 1 and more.
 */
const TOLERANCES: Readonly<Record<string, number>> = {
  F32: 0.005,
  BF16: 0.006,
  Q8_0: 0.045,
  Q6_K: 0.09,
  Q5_K_M: 0.15,
  Q5_1: 0.15,
  Q5_0: 0.23,
  Q4_K_M: 0.23,
  Q4_1: 0.28,
  Q4_0: 0.38,
  IQ4_NL: 0.28,
  IQ4_XS: 0.28,
  Q3_K_L: 0.33,
  Q2_K: 0.57,
};
const QUANTIZATIONS = ["F16", ...Object.keys(TOLERANCES)];

/** Where `npm run llama` puts it. */
const LLAMA = fileURLToPath(new URL("../../build/llama", import.meta.url));
const SCRIPT = fileURLToPath(new URL("llama-run.mjs", import.meta.url));

/** What llama.cpp makes of one file. */
interface Run {
  readonly tokens: readonly number[];
  /** [position, token] */
  readonly logits: readonly (readonly number[])[];
}

async function run(files: readonly string[]): Promise<readonly Run[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, LLAMA, ...files], {
    maxBuffer: 2 ** 28,
  });
  return JSON.parse(stdout);
}

interface Checkpoint {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly SyntheticTensor[];
  readonly tokenizer: string;
}

/** Writes a checkpoint with one of the golden tokenizers. */
async function writeCheckpoint(model: string, { config, tensors, tokenizer }: Checkpoint): Promise<void> {
  await mkdir(model);
  await writeSyntheticCheckpoint(model, { files: [{ name: "model.safetensors", tensors }], config });
  for (const name of await readdir(goldenPath(`tokenizers/${tokenizer}`))) {
    if (!name.startsWith("tokenizer")) continue;
    await copyFile(goldenPath(`tokenizers/${tokenizer}/${name}`), join(model, name));
  }
}

/** Writes the toy model of a family in every quantization; returns the files' paths. */
async function writeToy(family: string, folder: string): Promise<readonly string[]> {
  const model = join(folder, family);
  await writeCheckpoint(model, toyModel(family, VOCAB));
  const output = join(folder, `${family}-{quantization}.gguf`);
  const request = { model, quantizations: QUANTIZATIONS, format: "gguf" as const, output };
  await convertMany({ ...request, sync: false, threads: 2 });
  return QUANTIZATIONS.map((name) => join(folder, `${family}-${name}.gguf`));
}

/** RMS of the differences, as a share of the expected values' standard deviation. */
function distance(found: Run, expected: Run): number {
  let difference = 0;
  let spread = 0;
  for (const [at, row] of expected.logits.entries()) {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    for (const [token, value] of row.entries()) {
      difference += ((found.logits[at]?.[token] ?? Number.NaN) - value) ** 2;
      spread += (value - mean) ** 2;
    }
  }
  return Math.sqrt(difference / spread);
}

const needs = { feature: "llama", programs: [], fetched: { "`npm run llama`": join(LLAMA, "node_modules") } };

describeWith(needs, () => {
  it("is tried with every family that can be written", () => {
    expect([...TOY_FAMILIES].sort()).toEqual([...GGUF_FAMILIES].sort());
  });

  it.each(TOY_FAMILIES)(
    "loads %s in every quantization, generates tokens, and sees the logits of F16",
    async (family) => {
      const [half, ...others] = await run(await writeToy(family, await tempFolder()));
      expect(others).toHaveLength(QUANTIZATIONS.length - 1);
      for (const [index, each] of others.entries()) {
        const name = QUANTIZATIONS[index + 1] ?? "";
        expect(each.tokens.length).toBeGreaterThan(0);
        for (const token of each.tokens) expect(token).toBeLessThan(VOCAB);
        const off = distance(each, half as Run);
        expect.soft(off, name).toBeLessThan(TOLERANCES[name] ?? 0);
      }
    },
    600_000,
  );

  it.each(["tiny-llama", "tiny-qwen2-split"])(
    "sees in our file of %s the logits of the reference converter's",
    async (name) => {
      const { files, config, source, tokenizer } = goldenJson<{
        readonly files: readonly string[];
        readonly config: Readonly<Record<string, unknown>>;
        readonly source: {
          readonly tensors: readonly (readonly [string, number[], SyntheticTensor["dtype"]])[];
        };
        readonly tokenizer: string;
      }>(`files/${name}.json`);
      const folder = await tempFolder();
      const tensors = source.tensors.map(([each, shape, dtype]) => ({ name: each, shape, dtype }));
      await writeCheckpoint(join(folder, "model"), { config, tensors, tokenizer });
      const output = join(folder, "ours.gguf");
      const request = { model: join(folder, "model"), quantization: "F16", format: "gguf" as const, output };
      await convert({ ...request, sync: false, threads: 2 });
      const [ours, theirs] = await run([output, goldenPath(`files/${files[0]}`)]);
      expect(distance(ours as Run, theirs as Run)).toBeLessThan(1e-3);
      expect(ours?.tokens).toEqual(theirs?.tokens);
    },
    600_000,
  );
});
