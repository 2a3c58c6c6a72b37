import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { describeWith } from "./needs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${ROOT}/build/native`;
const NVCC = `${ROOT}/build/cuda-toolchain/nvidia/cu13/bin/nvcc`;
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

describeWith({ feature: "cuda", programs: [NVCC] }, () => {
  const library = "libmlc_convert_cuda.so";
  beforeAll(() => build("kernel-check", "mlc_convert_cuda"), 10 * MINUTES);

  it("exports three functions and needs no CUDA library", () => {
    const symbols = execFileSync("nm", ["-D", "--defined-only", `${BUILD}/${library}`], { encoding: "utf8" });
    const names = symbols
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[2]);
    expect(names).toEqual(["mlc_cuda_backend", "mlc_cuda_devices", "mlc_cuda_take_failure"]);
    const needed = execFileSync("ldd", [`${BUILD}/${library}`], { encoding: "utf8" });
    expect(needed).not.toMatch(/libcuda/);
  });

  it.runIf(existsSync("/dev/nvidia0"))(
    "computes every kernel bit for bit like the reference on a GPU",
    () => {
      const { out, error } = check(library);
      expect(error).toBe("");
      expect(out).toContain(" 0 differ");
    },
  );

  it.skipIf(existsSync("/dev/nvidia0"))("answers with the reason on a machine without a driver", () => {
    const { status, error } = check(library);
    expect(error).toContain("cuda:0 was not run: no NVIDIA driver is installed");
    expect(status).toBe(3);
  });
});
