// Fetches the CUDA compiler from PyPI's wheels into build/cuda-toolchain, where CMake finds it:
// no installer, no administrator, about 300 MB. Linux only.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unavailable } from "./unavailable.mjs";

const BUILD = fileURLToPath(new URL("../build", import.meta.url));
const TARGET = join(BUILD, "cuda-toolchain");
const NVCC = join(TARGET, "nvidia/cu13/bin/nvcc");
const LIMIT_MS = 400_000;

// These four belong together: ptxas refuses what a compiler of another release wrote.
const WHEELS = [
  "nvidia-cuda-nvcc==13.0.88",
  "nvidia-nvvm==13.0.88",
  "nvidia-cuda-crt==13.0.88",
  "nvidia-cuda-runtime==13.0.96",
];

/** Installs the wheels; only a whole toolchain gets the name under which it is looked for. */
function fetchToolchain() {
  const partial = join(BUILD, `cuda-toolchain-${process.pid}`);
  const pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--retries", "4"];
  mkdirSync(BUILD, { recursive: true });
  try {
    const { status, error } = spawnSync("python3", [...pip, "--target", partial, ...WHEELS], {
      ...{ stdio: "inherit", timeout: LIMIT_MS },
    });
    if (status !== 0) unavailable(`the CUDA compiler cannot be fetched: ${error?.message ?? "pip failed"}`);
    rmSync(TARGET, { recursive: true, force: true });
    renameSync(partial, TARGET);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

if (process.platform !== "linux") unavailable("the CUDA compiler's wheels are for Linux");
if (existsSync(NVCC)) console.log(`already there: ${NVCC}`);
else fetchToolchain();
const { status, error } = spawnSync(NVCC, ["--version"], { stdio: "inherit" });
if (error) console.error(`${NVCC} cannot be started: ${error.message}`);
process.exitCode = status ?? 1;
