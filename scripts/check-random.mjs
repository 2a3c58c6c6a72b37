// A million calls of every kernel with random shapes, strides and values, on every backend that can run here, and on
// NEON under qemu-user where Debian's cross compiler is installed: each result must equal the reference bit for bit.
// Minutes for each backend; `--calls N --seed S` for fewer or others.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { calls, seed } = parseArgs({
  options: { calls: { type: "string", default: "1000000" }, seed: { type: "string", default: "1" } },
}).values;

/** Runs a program with this process's streams and ends with its exit status if that is not 0. */
function run(program, ...args) {
  console.log(`== ${program} ${args.join(" ")}`);
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

function build(name, ...options) {
  const folder = join(ROOT, "build", name);
  run("cmake", "-S", ROOT, "-B", folder, ...options);
  run("cmake", "--build", folder, "--parallel", "2", "--target", "kernel-check");
  return join(folder, "kernel-check");
}

const random = ["--random", calls, "--seed", seed];
run(build("native"), ...random);
const cross = ["aarch64-linux-gnu-g++", "qemu-aarch64"];
if (cross.every((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0)) {
  const toolchain = "-DCMAKE_TOOLCHAIN_FILE=cpp/toolchains/aarch64-linux-gnu.cmake";
  run("qemu-aarch64", build("neon", toolchain), "--backend", "neon", ...random);
} else if (process.arch !== "arm64") {
  console.log(`neon: not run, it needs ${cross.join(" and ")}`);
}
