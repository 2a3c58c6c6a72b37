import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { MlcConvertError } from "../../src/core/errors.ts";
import { runDemo } from "../../src/demo.ts";
import { verify } from "../../src/verify.ts";
import { executablePath, launch, serveTo, stateOf, verdictOf } from "./browser.ts";
import { flipByte } from "./model-fixture.ts";

/** Files that `verify` finds fault with; a file that cannot even be read is named by the error. */
async function faultyFiles(folder: string): Promise<string> {
  try {
    return (await verify(folder)).faults.map(({ file, problem }) => `${file}: ${problem}`).join("\n");
  } catch (error) {
    if (error instanceof MlcConvertError) return error.message;
    throw error;
  }
}

describe("a model of the hub, converted", () => {
  let folder: string;
  let files: readonly string[];
  beforeAll(async () => {
    folder = join(await mkdtemp(join(tmpdir(), "mlc-convert-page-")), "out");
    const { verified } = await runDemo({ quantization: "q4f16_1", output: folder, fromHub: true });
    expect(verified.faults).toEqual([]);
    files = (await readdir(folder)).sort();
  }, 60_000);
  afterAll(() => rm(dirname(folder), { recursive: true, force: true }));

  it("lies there whole: weights, index, config, tokenizer, template, provenance", async () => {
    expect(files).toEqual(expect.arrayContaining(["mlc-chat-config.json", "mlc-convert.json"]));
    expect(files).toEqual(
      expect.arrayContaining(["params_shard_0.bin", "tensor-cache.json", "tokenizer.json"]),
    );
    const { notices } = await verify(folder);
    expect(notices).toContainEqual(expect.stringContaining("prompts equal those of the checkpoint's"));
  });

  it("is found damaged by verify when one bit of any file changes, and the file is named", async () => {
    for (const name of files) {
      await flipByte(join(folder, name));
      expect(await faultyFiles(folder), name).toContain(name);
      await flipByte(join(folder, name));
    }
    expect(await faultyFiles(folder)).toBe("");
  }, 60_000);

  it.skipIf(executablePath === undefined)(
    "is shown in Chromium as sound, and as broken when one bit of any file changes",
    async () => {
      const browser = await launch();
      onTestFinished(() => browser.close());
      await serveTo(browser, folder, async (open) => {
        expect(await verdictOf(await open())).toBe(`Sound: all ${files.length} files have the listed hash.`);
        for (const name of files) {
          await flipByte(join(folder, name));
          const page = await open();
          expect(await stateOf(page), name).toBe("broken");
          expect(await verdictOf(page), name).toContain(name);
          await flipByte(join(folder, name));
        }
        expect(await stateOf(await open())).toBe("sound");
      });
    },
    120_000,
  );
});
