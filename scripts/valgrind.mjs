// Runs the kernels over their hostile inputs, and a whole conversion in Node, under valgrind: any read or write outside
// of what was allocated, and any decision from memory that was never written, fails. Linux. Valgrind knows no AVX-512,
// so the processor is seen as one with AVX2. What is suppressed is Node's own.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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

/** Runs a program with this process's streams; throws if its exit status is not 0. */
async function run(program, args) {
  const line = `${program} ${args.join(" ")}`;
  console.log(`== ${line}`);
  const env = { ...process.env, MLC_CONVERT_PREBUILD: ROOT };
  const [status] = await once(spawn(program, args, { cwd: ROOT, stdio: "inherit", env }), "exit");
  if (status === FOUND) throw new Error("valgrind found errors, which are told above");
  if (status !== 0) throw new Error(`${line}: expected exit status 0, found ${status}`);
}

const SUPPRESSIONS = join(ROOT, "scripts/valgrind.supp");
const valgrind = (...words) =>
  run("valgrind", ["--quiet", `--error-exitcode=${FOUND}`, `--suppressions=${SUPPRESSIONS}`, ...words]);

if (spawnSync("valgrind", ["--version"], { stdio: "ignore" }).status !== 0)
  unavailable("valgrind is not installed");
await run("cmake", ["-S", ROOT, "-B", BUILD]);
await run("cmake", ["--build", BUILD, "--parallel", "2", "--target", "kernel-check"]);
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-valgrind-"));
try {
  // The reference runs along, as what the results are compared with.
  const backend = process.arch === "x64" ? "avx2" : "neon";
  const kernels = [join(BUILD, "kernel-check"), "--backend", backend, "--random", RANDOM_CALLS];
  // One thread for V8's own work: valgrind runs one at a time, and waiting threads only delay it.
  const demo = ["dist/cli/main.cjs", "demo", "--quiet", "--output", join(folder, "model")];
  await Promise.all([valgrind(...kernels), valgrind(process.execPath, "--single-threaded", ...demo)]);
  console.log("ok: kernels and a conversion, nothing found");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
