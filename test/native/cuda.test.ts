import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { CLI } from "../support/cli.ts";
import { buildGoldenCase, GOLDEN_CASES, readGoldenCase } from "../support/golden-case.ts";
import { checkGoldenRun } from "../support/golden-conversion.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { describeWith } from "./needs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${ROOT}/build/native`;
const MINUTES = 60_000;

function build(...targets: readonly string[]): void {
  execFileSync("cmake", ["-S", ROOT, "-B", BUILD], { stdio: "pipe" });
  execFileSync("cmake", ["--build", BUILD, "-j2", "--target", ...targets], { stdio: "pipe" });
}

/** Compares the backend of GPU 0 with the reference; `gpu` is what the emulated one suffers from. */
function check(library: string, options: { readonly gpu?: string; readonly only?: string } = {}) {
  const only = options.only ? ["--only", options.only] : [];
  const result = spawnSync(
    `${BUILD}/kernel-check`,
    ["--backend", "cuda:0", "--cuda", `${BUILD}/${library}`, ...only],
    { encoding: "utf8", env: { ...process.env, MLC_EMULATED_GPU: options.gpu ?? "" } },
  );
  return { status: result.status, out: result.stdout, error: result.stderr };
}

describe.skipIf(process.platform === "win32")("the CUDA backend on an emulated GPU", () => {
  const library = "libmlc_convert_cuda_emulated.so";
  beforeAll(() => build("kernel-check", "mlc_convert_cuda_emulated"), 10 * MINUTES);

  it("computes every kernel bit for bit like the reference, in many tiles a call", () => {
    const { status, out } = check(library);
    expect(out).toMatch(/^cuda +[1-9]\d{4,} results compared, 0 differ\n$/);
    expect(status).toBe(0);
  });

  it.each([
    ["none", "no NVIDIA driver is installed"],
    ["old-driver", "the NVIDIA driver is too old: it is for CUDA 12.4, this build needs"],
    ["no-device", "no CUDA-capable device is detected"],
    ["old-device", "GPU 0 has compute capability 7.0, this build needs 7.5 or later"],
  ])("says why there is no backend: %s", (gpu, reason) => {
    const { status, error } = check(library, { gpu });
    expect(error).toContain(reason);
    expect(status).toBe(3);
  });

  it.each([
    ["no-memory", "out of memory (free GPU memory, or convert on the processor)"],
    ["launch-fails", "unspecified launch failure"],
  ])("keeps the bytes right when the GPU fails, and reports it: %s", (gpu, reason) => {
    const { status, out, error } = check(library, { gpu, only: "group" });
    expect(out).toContain(" 0 differ");
    expect(error).toContain(reason);
    expect(status).toBe(1);
  });
});

describeWith({ feature: "device", programs: ["cmake"] }, () => {
  const library = `${BUILD}/libmlc_convert_cuda_emulated.so`;
  let folder: string;

  beforeAll(() => build("mlc_convert_cuda_emulated"), 10 * MINUTES);
  beforeEach(async () => {
    vi.stubEnv("MLC_CONVERT_CUDA_LIBRARY", library);
    folder = await tempFolder();
    await buildGoldenCase(await readGoldenCase(new URL("llama-0.json", GOLDEN_CASES)), folder);
  });
  afterEach(() => vi.unstubAllEnvs());

  /** Runs the command line; `gpu` is what the emulated GPU suffers from. */
  function run(gpu: string, ...words: readonly string[]) {
    const env = { ...process.env, MLC_EMULATED_GPU: gpu };
    const result = spawnSync(process.execPath, [CLI, ...words], { encoding: "utf8", env });
    return { status: result.status, out: result.stdout, error: result.stderr };
  }
  const convert = (gpu: string, device: string) => {
    const output = `${folder}/${gpu} ${device}`;
    const where = ["-q", "q4f16_1", "-o", output, "--weights-only", "--json"];
    return { output, ...run(gpu, "convert", folder, ...where, "--threads", "1", "--device", device) };
  };

  it("cuda:0 makes every recorded conversion of a model byte for byte", async () => {
    const golden = await readGoldenCase(new URL("llama-0.json", GOLDEN_CASES));
    const conversions = Object.entries(golden.conversions);
    expect(conversions.length).toBeGreaterThan(3);
    for (const [quantization, expected] of conversions) {
      const attempt = { golden, folder, quantization, backend: "auto", device: "cuda:0", threads: 2 };
      await checkGoldenRun(attempt, expected);
    }
  });

  it("cuda:0 says what it computed on", () => {
    const { status, out } = convert("", "cuda:0");
    expect(out).toContain('"backend":"cuda:0"');
    expect(status).toBe(0);
  });

  it.each([
    ["none", "cuda:0", "no NVIDIA driver is installed"],
    ["old-device", "cuda:0", "GPU 0 has compute capability 7.0"],
    ["", "cuda:3", "there is no GPU 3: this machine has 1"],
    ["no-memory", "cuda:0", "GPU 0: out of memory"],
    ["launch-fails", "cuda:0", "GPU 0: unspecified launch failure"],
  ])("a GPU with trouble (%s) fails %s with the reason and leaves no output", (gpu, device, reason) => {
    const { status, out, output } = convert(gpu, device);
    const { error } = JSON.parse(out.trim().split("\n").at(-1) ?? "");
    expect(error).toMatchObject({ class: "KernelError", code: "E_DEVICE", hint: expect.any(String) });
    expect(error.message).toContain(reason);
    expect(status).toBe(6);
    expect(existsSync(output)).toBe(false);
  });

  it.each([
    ["none", "converting on the CPU: no GPU can be used: no NVIDIA driver is installed"],
    ["old-device", "converting on the CPU: no GPU can be used: GPU 0 has compute capability 7.0"],
    ["no-memory", "cuda:0 failed, and the CPU did the rest: GPU 0: out of memory"],
    ["", "converting on cuda:0, emulated GPU"],
  ])("auto on a machine with %j converts in any case and says where", (gpu, notice) => {
    const { status, out, output } = convert(gpu, "auto");
    expect(out).toContain(notice);
    expect(status).toBe(0);
    const other = convert("", "cpu").output;
    expect(readFileSync(`${output}/tensor-cache.json`)).toEqual(readFileSync(`${other}/tensor-cache.json`));
    rmSync(other, { recursive: true });
  });

  it("a library that is missing or something else is explained", () => {
    vi.stubEnv("MLC_CONVERT_CUDA_LIBRARY", `${folder}/nothing.so`);
    expect(convert("", "cuda").out).toContain("nothing.so, which does not exist");
    vi.stubEnv("MLC_CONVERT_CUDA_LIBRARY", `${folder}/config.json`);
    expect(convert("", "cuda").status).toBe(6);
  });

  it("another device's name is wrong usage", () => {
    const { status, error } = convert("", "tpu");
    expect(error).toContain("expected cpu, auto, cuda or cuda:N");
    expect(status).toBe(2);
  });

  it("doctor lists the GPUs, or says why there are none", () => {
    expect(run("", "doctor").out).toContain("cuda:0: ready, emulated GPU");
    expect(run("none", "doctor").out).toContain("cuda: not here (no NVIDIA driver is installed");
    expect(run("old-device", "doctor").out).toContain("cuda:0: cannot be used (GPU 0 has compute");
  });
});
