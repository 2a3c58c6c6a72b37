// Fetches the CUDA compiler from PyPI's wheels into build/cuda-toolchain, where CMake finds it:
// no installer, no administrator, about 300 MB. Linux only.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const TARGET = fileURLToPath(new URL("../build/cuda-toolchain", import.meta.url));
const NVCC = `${TARGET}/nvidia/cu13/bin/nvcc`;

// These four belong together: ptxas refuses what a compiler of another release wrote.
const WHEELS = [
  "nvidia-cuda-nvcc==13.0.88",
  "nvidia-nvvm==13.0.88",
  "nvidia-cuda-crt==13.0.88",
  "nvidia-cuda-runtime==13.0.96",
];

/** Runs a program with this process's streams and ends with its exit status if that is not 0. */
function run(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: "inherit" });
  if (error) console.error(`${program} cannot be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

if (existsSync(NVCC)) {
  console.log(`already there: ${NVCC}`);
} else {
  run("python3", ["-m", "pip", "install", "--quiet", "--no-deps", "--target", TARGET, ...WHEELS]);
}
run(NVCC, ["--version"]);
