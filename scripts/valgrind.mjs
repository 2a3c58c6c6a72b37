// Runs the kernels over their hostile inputs, and a whole conversion in Node, under valgrind: any read or write outside
// of what was allocated, and any decision from memory that was never written, fails. Linux. Valgrind knows no AVX-512,
// so the processor is seen as one with AVX2. No suppressions are needed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unavailable } from "./unavailable.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD = join(ROOT, "build/native");
const FOUND = 9;
/** Calls of random shapes, beside the hostile inputs, which take most of the time. */
const RANDOM_CALLS = "50";

/** Runs a program with this process's streams and ends with its exit status if that is not 0. */
function run(program, args) {
  console.log(`== ${program} ${args.join(" ")}`);
  const { status, error } = spawnSync(program, args, {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, MLC_CONVERT_PREBUILD: ROOT },
  });
  if (error) throw error;
  if (status === FOUND) console.error("valgrind found errors, which are told above");
  if (status !== 0) process.exit(status ?? 1);
}

const SUPPRESSIONS = join(ROOT, "scripts/valgrind.supp");
const valgrind = (...words) =>
  run("valgrind", ["--quiet", `--error-exitcode=${FOUND}`, `--suppressions=${SUPPRESSIONS}`, ...words]);

if (spawnSync("valgrind", ["--version"], { stdio: "ignore" }).status !== 0)
  unavailable("valgrind is not installed");
run("cmake", ["-S", ROOT, "-B", BUILD]);
run("cmake", ["--build", BUILD, "--parallel", "2", "--target", "kernel-check"]);
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-valgrind-"));
try {
  // The reference runs along, as what the results are compared with.
  const backend = process.arch === "x64" ? "avx2" : "neon";
  valgrind(join(BUILD, "kernel-check"), "--backend", backend, "--random", RANDOM_CALLS);
  // One thread for V8's own work: valgrind runs one at a time, and waiting threads only delay it.
  const demo = ["dist/cli/main.js", "demo", "--quiet", "--output", join(folder, "model")];
  valgrind(process.execPath, "--single-threaded", ...demo);
  console.log("ok: kernels and a conversion, nothing found");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
