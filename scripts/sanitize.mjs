// Builds kernels, engine and addon with AddressSanitizer and UndefinedBehaviorSanitizer and runs kernel-check and the
// native tests under them, and the engine's threads alone under ThreadSanitizer. Linux with GCC or Clang;
// `node scripts/sanitize.mjs FILE…` runs those test files instead.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD = join(ROOT, "build/sanitize");
const THREADS_BUILD = join(ROOT, "build/sanitize-threads");
/** Where node-gyp-build is told to look for the addon. */
const ADDON = join(BUILD, "addon");
const COMPILER = process.env.CXX ?? "c++";
const TESTS = [
  "test/native/addon.test.ts",
  "test/native/environments.test.ts",
  "test/execute/kept-scales.test.ts",
  "test/execute/program.test.ts",
  "test/golden-conversions.test.ts",
  "test/statistics.test.ts",
];
/** One recorded case, which has every scheme and every backend. */
const GOLDEN = "llama-0.json";

if (process.platform !== "linux") throw new Error("sanitize: expected Linux");

/** Runs a program with this process's streams and ends with its exit status if that is not 0. */
function run(program, args, env = {}) {
  console.log(`== ${program} ${args.join(" ")}`);
  const result = spawnSync(program, args, {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

const runtime = execFileSync(COMPILER, ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
const cxxRuntime = execFileSync(COMPILER, ["-print-file-name=libstdc++.so.6"], { encoding: "utf8" }).trim();
const UBSAN_OPTIONS = "print_stacktrace=1:halt_on_error=1";

/** Builds `targets` in a folder of their own. */
function build(folder, sanitizers, targets, more = []) {
  run("cmake", [
    ...["-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", `-DCMAKE_CXX_COMPILER=${COMPILER}`],
    ...[`-DMLC_SANITIZE=${sanitizers}`, ...more],
  ]);
  run("cmake", ["--build", folder, "--parallel", "2", "--target", ...targets]);
}

build(THREADS_BUILD, "thread", ["engine-check"], ["-DMLC_ADDON=OFF"]);
const written = mkdtempSync(join(tmpdir(), "mlc-convert-threads-"));
process.on("exit", () => rmSync(written, { recursive: true, force: true }));
run(join(THREADS_BUILD, "engine-check"), [written]);

const targets = ["kernel-check", "mlc_convert", "mlc_convert_cuda_emulated"];
const addonPlace = `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${ADDON}/build/Release`;
build(BUILD, "address,undefined", targets, [addonPlace]);
run(join(BUILD, "kernel-check"), ["--random", "5000"], { UBSAN_OPTIONS });
// The GPU's sources too, on an emulated GPU.
const emulated = join(ADDON, "build/Release", "libmlc_convert_cuda_emulated.so");
run(join(BUILD, "kernel-check"), ["--backend", "cuda:0", "--cuda", emulated], { UBSAN_OPTIONS });

const files = process.argv.length > 2 ? process.argv.slice(2) : TESTS;
// Node itself is not instrumented: the runtime must be there before it, and what V8 keeps until the end is no leak.
run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...files], {
  LD_PRELOAD: `${runtime} ${cxxRuntime}`,
  ASAN_OPTIONS: "detect_leaks=0:abort_on_error=1:handle_segv=0",
  UBSAN_OPTIONS,
  MLC_CONVERT_PREBUILD: ADDON,
  MLC_CONVERT_GOLDEN: GOLDEN,
});
