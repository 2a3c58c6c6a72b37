import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { writeSyntheticCheckpoint } from "../src/demo/synthetic-checkpoint.ts";
import type { SyntheticTensor } from "../src/demo/synthetic-tensor.ts";
import { locateGguf } from "../src/open-gguf.ts";
import { planConversion } from "../src/plan-conversion.ts";
import { planReport } from "../src/report/plan-report.ts";
import { goldenJson, goldenPath } from "./gguf/golden.ts";
import { tempFolder } from "./support/temp-folder.ts";

interface Tiny {
  readonly files: readonly string[];
  readonly config: Record<string, unknown>;
  readonly source: {
    readonly dtype: string;
    readonly tensors: readonly (readonly [string, number[], SyntheticTensor["dtype"]])[];
  };
}

const tiny = (name: string): Tiny => goldenJson<Tiny>(`files/${name}.json`);
const fileOf = (name: string): string => goldenPath(`files/${tiny(name).files[0]}`);

/** The safetensors checkpoint that a golden GGUF file was made from. */
async function checkpointOf(name: string): Promise<string> {
  const folder = await tempFolder();
  const { config, source } = tiny(name);
  const tensors = source.tensors.map(([each, shape, dtype]) => ({ name: each, shape, dtype }));
  await writeSyntheticCheckpoint(folder, { files: [{ name: "model.safetensors", tensors }], config });
  return folder;
}

interface Index {
  readonly records: readonly {
    readonly dataPath: string;
    readonly records: readonly {
      readonly name: string;
      readonly dtype: string;
      readonly shape: readonly number[];
      readonly byteOffset: number;
      readonly nbytes: number;
    }[];
  }[];
}

/** Every tensor of a converted model: dtype, shape and bytes. */
async function tensorsIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const { records } = JSON.parse(await readFile(join(folder, "tensor-cache.json"), "utf8")) as Index;
  const tensors = new Map<string, string>();
  for (const shard of records) {
    const bytes = await readFile(join(folder, shard.dataPath));
    for (const { name, dtype, shape, byteOffset, nbytes } of shard.records) {
      tensors.set(name, `${dtype} [${shape}] ${bytes.toString("latin1", byteOffset, byteOffset + nbytes)}`);
    }
  }
  return tensors;
}

describe("converting a GGUF file", () => {
  it.each(["q0f16", "q4f16_1"])("gives what its float16 checkpoint gives: %s", async (quantization) => {
    const output = await tempFolder();
    const request = { quantization, weightsOnly: true, sync: false, threads: 2 };
    const model = await checkpointOf("tiny-llama");
    const { sourceFormat } = await convert({
      ...request,
      model: fileOf("tiny-llama"),
      output: join(output, "gguf"),
    });
    await convert({ ...request, model, output: join(output, "safetensors") });
    expect(sourceFormat).toBe("gguf");
    const ours = await tensorsIn(join(output, "gguf"));
    expect(ours.size).toBeGreaterThan(10);
    expect(new Map([...ours].sort())).toEqual(
      new Map([...(await tensorsIn(join(output, "safetensors")))].sort()),
    );
  });

  it.each(["tiny-llama", "tiny-gemma2", "tiny-qwen2-split"])(
    "brings a chat config and a tokenizer along: %s",
    async (name) => {
      const output = await tempFolder();
      await convert({ model: fileOf(name), quantization: "q4f16_1", output, sync: false, threads: 2 });
      const names = await readdir(output);
      expect(names).toEqual(
        expect.arrayContaining(["mlc-chat-config.json", "tokenizer.json", "tokenizer_config.json"]),
      );
      const config = JSON.parse(await readFile(join(output, "mlc-chat-config.json"), "utf8"));
      expect(config.model_type).toBe(tiny(name).config.model_type);
      expect(config.vocab_size).toBe(512);
    },
  );

  it("says in plan and report that it was quantized before", async () => {
    const request = { model: fileOf("tiny-gemma2"), quantization: "q4f16_1" };
    const report = planReport(await planConversion(request));
    expect(report.notices.join()).toContain("already quantized");
    expect(report.sourceFormat).toBe("gguf");
  });
});

describe("finding a GGUF model", () => {
  it("takes the only one of a folder, its parts together and its projector aside", async () => {
    const folder = await tempFolder();
    const { files } = tiny("tiny-qwen2-split");
    for (const name of files) await copyFile(goldenPath(`files/${name}`), join(folder, name));
    await writeFile(join(folder, "mmproj-f16.gguf"), "");
    expect(await locateGguf(folder, "auto")).toBe(join(folder, files[0] ?? ""));
    const { plan } = await planConversion({ model: folder, quantization: "q0f16" });
    expect(plan.files).toHaveLength(3);
  });

  it("leaves folders to their checkpoint, unless GGUF is asked for", async () => {
    const folder = await checkpointOf("tiny-llama");
    await copyFile(fileOf("tiny-llama"), join(folder, "tiny.gguf"));
    expect(await locateGguf(folder, "auto")).toBeUndefined();
    expect(await locateGguf(folder, "gguf")).toBe(join(folder, "tiny.gguf"));
    expect(await locateGguf(folder, "awq")).toBeUndefined();
  });

  it("refuses to choose, and to find what is not there", async () => {
    const folder = await tempFolder();
    await expect(locateGguf(folder, "gguf")).rejects.toMatchObject({ code: "E_FORMAT_NOT_FOUND" });
    await mkdir(join(folder, "x"));
    for (const name of ["a.gguf", "b.gguf"]) await writeFile(join(folder, name), "");
    await expect(locateGguf(folder, "auto")).rejects.toMatchObject({ code: "E_FORMAT_AMBIGUOUS" });
  });

  it("prefers tokenizer files that lie beside it", async () => {
    const folder = await tempFolder();
    await copyFile(fileOf("tiny-llama"), join(folder, "tiny.gguf"));
    const golden = goldenPath("tokenizers/bpe-llama3");
    for (const name of ["tokenizer.json", "tokenizer_config.json"])
      await copyFile(join(golden, name), join(folder, name));
    const output = await tempFolder();
    await convert({ model: folder, quantization: "q0f16", output, sync: false, threads: 2 });
    expect(await readFile(join(output, "tokenizer.json"))).toEqual(
      await readFile(join(golden, "tokenizer.json")),
    );
  });
});
