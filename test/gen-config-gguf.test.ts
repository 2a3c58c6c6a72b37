import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { genConfig } from "../src/gen-config.ts";
import { goldenPath } from "./gguf/golden.ts";
import { tempFolder } from "./support/temp-folder.ts";

describe("gen-config on a GGUF file", () => {
  it.each(["tiny-llama.gguf", "tiny-qwen2-split-00001-of-00003.gguf"])(
    "writes what a conversion of it writes: %s",
    async (name) => {
      const folder = await tempFolder();
      const model = goldenPath(`files/${name}`);
      const [config, whole] = [join(folder, "config"), join(folder, "whole")];
      const { files } = await genConfig({ model, quantization: "q4f16_1", output: config });
      expect(files).toContain("tokenizer.json");
      await convert({ model, quantization: "q4f16_1", output: whole, sync: false, threads: 2 });
      for (const each of await readdir(config))
        expect
          .soft(await readFile(join(config, each), "utf8"), each)
          .toBe(await readFile(join(whole, each), "utf8"));
    },
  );
});
