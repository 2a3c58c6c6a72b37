import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { convertMany } from "../../src/convert.ts";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";
import { GGUF_FAMILIES } from "../../src/plan/gguf/model.ts";
import { goldenPath } from "../gguf/golden.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { describeWith } from "./needs.ts";
import { TOY_FAMILIES, toyModel } from "./toy-models.ts";

const VOCAB = 512;
const QUANTIZATIONS = ["F16", "Q4_0", "Q4_K_M"];
const SCRIPT = fileURLToPath(new URL("llama-generate.mjs", import.meta.url));

/** Writes the toy model of a family in every quantization; returns the files' paths. */
async function writeToy(family: string, folder: string): Promise<readonly string[]> {
  const { config, tensors, tokenizer } = toyModel(family, VOCAB);
  const model = join(folder, family);
  await mkdir(model);
  await writeSyntheticCheckpoint(model, { files: [{ name: "model.safetensors", tensors }], config });
  for (const name of await readdir(goldenPath(`tokenizers/${tokenizer}`))) {
    if (!name.startsWith("tokenizer")) continue;
    await copyFile(goldenPath(`tokenizers/${tokenizer}/${name}`), join(model, name));
  }
  await convertMany({
    model,
    quantizations: QUANTIZATIONS,
    format: "gguf",
    output: join(folder, `${family}-{quantization}.gguf`),
    sync: false,
    threads: 2,
  });
  return QUANTIZATIONS.map((name) => join(folder, `${family}-${name}.gguf`));
}

/** What llama.cpp generates from each file. */
async function generate(files: readonly string[]): Promise<readonly (readonly number[])[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, ...files]);
  return JSON.parse(stdout);
}

const binary = `@node-llama-cpp/${process.platform}-${process.arch}`;

describeWith({ feature: "llama", programs: [], packages: ["node-llama-cpp", binary] }, () => {
  it("is tried with every family that can be written", () => {
    expect([...TOY_FAMILIES].sort()).toEqual([...GGUF_FAMILIES].sort());
  });

  it.each(TOY_FAMILIES)(
    "loads what is written for %s and generates tokens",
    async (family) => {
      const generated = await generate(await writeToy(family, await tempFolder()));
      expect(generated).toHaveLength(QUANTIZATIONS.length);
      for (const tokens of generated) {
        expect(tokens.length).toBeGreaterThan(0);
        for (const token of tokens) expect(token).toBeLessThan(VOCAB);
      }
    },
    180_000,
  );
});
