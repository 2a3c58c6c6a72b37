import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSyntheticCheckpoint } from "../../src/demo/synthetic-checkpoint.ts";
import { goldenPath } from "../gguf/golden.ts";
import { toyModel } from "../native/toy-models.ts";
import { startHub } from "../source/hub-fixture.ts";
import { jsonLines, runCli } from "../support/cli.ts";
import { writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const HOST = ["--ram", "16G", "--vram", "0"];
const TINY = goldenPath("files/tiny-llama.gguf");

/** The result that `recommend --json` printed. */
async function advise(...args: string[]) {
  const { code, stdout, stderr } = await runCli(["recommend", ...args, "--json"]);
  const result = jsonLines(stdout).at(-1) as unknown as {
    readonly machine: object;
    readonly bestSource?: string;
    readonly notices: readonly string[];
    readonly advice: readonly {
      readonly kind: string;
      readonly context: number;
      readonly shape: object;
      readonly sentence?: string;
      readonly chosen?: { readonly variant: { readonly name: string; readonly quantization: string } };
      readonly assessed: readonly {
        readonly memory: { readonly cache: number };
        readonly longestContext: number;
      }[];
    }[];
  };
  return { code, stderr, result };
}

describe("mlc-convert recommend", () => {
  it("compares what can be made of a checkpoint, for both engines, and shows the arithmetic", async () => {
    const model = await writeModel(await tempFolder());
    const { code, stdout } = await runCli(["recommend", model, ...HOST]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/on 16\.0 GiB of memory, no GPU/);
    expect(stdout).toMatch(/\*\s+Q8_0/);
    expect(stdout).toMatch(/\*\s+q0f16/);
    expect(stdout).toMatch(
      /Take Q8_0: weights .* \+ cache for \d+ tokens .* \+ buffers .* = .*; fits in main memory/,
    );
    expect(stdout).toMatch(/Cache: 1 layers × \d+ tokens × 4 heads × 64 elements × 2 bytes/);
    const { result } = await advise(model, ...HOST);
    expect(result.advice.map(({ kind }) => kind)).toEqual(["gguf", "mlc"]);
    expect(result.machine).toEqual({ ram: 16 * 2 ** 30 });
  });

  it("counts key-value heads, not heads, and keeps windows small", async () => {
    const folder = await tempFolder();
    const { config, tensors } = toyModel("gemma3_text", 512);
    const long = { ...config, num_hidden_layers: 2, max_position_embeddings: 131_072 };
    await writeSyntheticCheckpoint(folder, { files: [{ name: "model.safetensors", tensors }], config: long });
    const cacheAt = async (context: number): Promise<number> => {
      const { result } = await advise(folder, ...HOST, "--context", String(context));
      return result.advice[0]?.assessed[0]?.memory.cache ?? 0;
    };
    // 2 layers, period 6: both slide over 16 tokens, so they keep 768 cells whatever the context.
    expect(await cacheAt(4096)).toBe(2 * 768 * 2 * 64 * 2);
    expect(await cacheAt(65_536)).toBe(2 * 768 * 2 * 64 * 2);
  });

  it("compares the GGUF files of a folder, and names the best source", async () => {
    const folder = await tempFolder();
    await copyFile(TINY, join(folder, "tiny-Q4_K_M.gguf"));
    await copyFile(TINY, join(folder, "tiny-F16.gguf"));
    await writeFile(join(folder, "mmproj-F16.gguf"), "");
    const { code, result } = await advise(folder, ...HOST);
    expect(code).toBe(0);
    expect(result.advice[0]).toMatchObject({
      kind: "existing",
      chosen: { variant: { name: "tiny-Q4_K_M.gguf", quantization: "Q4_K_M" } },
    });
    expect(result.bestSource).toBe("tiny-F16.gguf");
  });

  it("compares the GGUF files of a repository from one header", async () => {
    const bytes = await readFile(TINY);
    const hub = await startHub(new Map([1, 2].map((n) => [`tiny-${n === 1 ? "Q8_0" : "Q2_K"}.gguf`, bytes])));
    const home = await tempFolder();
    const { code, stderr, result } = await advise(
      "org/model",
      ...["--endpoint", hub.endpoint, "--cache-dir", join(home, "hub")],
      ...HOST,
    );
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(result.advice[0]?.assessed).toHaveLength(2);
    expect(result.advice[0]?.chosen?.variant.name).toBe("tiny-Q8_0.gguf");
    expect(await readdir(home)).toEqual([]);
  });

  it("ends with 1 where nothing fits", async () => {
    const { code, stdout } = await runCli(["recommend", TINY, "--ram", "1G", "--vram", "0"]);
    expect(stdout).toContain("Nothing fits");
    expect(code).toBe(1);
  });

  it("asks the driver's tool for GPU memory", async () => {
    const bin = join(await tempFolder(), "bin");
    await mkdir(bin);
    await writeFile(join(bin, "nvidia-smi"), "#!/bin/sh\necho 'Some GPU, 8192'\n", { mode: 0o755 });
    const { stdout } = await runCli(["recommend", TINY], {
      env: { PATH: `${bin}:${process.env.PATH}` },
    });
    expect(stdout).toContain("GPU Some GPU 8.00 GiB");
    expect(stdout).toMatch(/fits on the GPU/);
  });

  it("explains itself", async () => {
    const { stdout } = await runCli(["recommend", "--help"]);
    for (const word of ["--ram", "--vram", "--context", "Examples:"]) expect(stdout).toContain(word);
  });
});

describe("-q auto", () => {
  it.each([
    ["mlc", "q0f16", ["--ram", "16G"]],
    ["gguf", "Q8_0", ["--ram", "16G"]],
  ])("takes the best that fits for %s, and says so", async (format, quantization, more) => {
    const folder = await tempFolder();
    const output = join(folder, "out-{quantization}");
    const args = [TINY, "-q", "auto", "--format", format, "-o", output, "--no-fsync", "--vram", "0", ...more];
    const { code, stderr } = await runCli(args);
    expect(stderr).toMatch(
      new RegExp(`-q auto takes ${quantization} for .*: weights .* fits in main memory`),
    );
    expect(code).toBe(0);
    expect(await readdir(folder)).toEqual([`out-${quantization}`]);
  });

  it.each([
    ["mlc", "q0f16"],
    ["gguf", "Q8_0"],
  ])("plans the best that fits for %s, and says so", async (format, quantization) => {
    const memory = ["--ram", "16G", "--vram", "0"];
    const args = ["plan", TINY, "-q", "auto", "--format", format, "--json", ...memory];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ quantization });
    expect(stdout).toContain(`-q auto takes ${quantization}`);
  });

  it("is refused where nothing fits, with the arithmetic", async () => {
    const folder = await tempFolder();
    const { code, stderr } = await runCli([
      TINY,
      "-q",
      "auto",
      "-o",
      join(folder, "o"),
      "--ram",
      "2G",
      "--vram",
      "0",
    ]);
    expect(stderr).toMatch(/not even q3f16_1 fits: weights/);
    expect(stderr).toContain("E_NOTHING_FITS");
    expect(code).toBe(5);
    expect(await readdir(folder)).toEqual([]);
  });
});
