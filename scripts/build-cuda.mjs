// Compiles the CUDA library for all its architectures and puts it into packages/cuda/lib.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD = join(ROOT, "build/native");
const LIBRARY = "libmlc_convert_cuda.so";

/** Runs CMake with this process's streams and ends with its exit status if that is not 0. */
function cmake(...args) {
  const { status, error } = spawnSync("cmake", args, { stdio: "inherit" });
  if (error) console.error(`cmake cannot be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

cmake("-S", ROOT, "-B", BUILD);
cmake("--build", BUILD, "--target", "mlc_convert_cuda", "--parallel", "2");
const folder = join(ROOT, "packages/cuda/lib");
mkdirSync(folder, { recursive: true });
copyFileSync(join(BUILD, LIBRARY), join(folder, LIBRARY));
console.log(`packages/cuda/lib/${LIBRARY}: done`);
