// Fetches a package of the npm registry as it is, also one for another platform, into build/runtimes.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unavailable } from "./unavailable.mjs";

const FOLDER = fileURLToPath(new URL("../build/runtimes", import.meta.url));
const LIMIT_MS = 240_000;
// A script that npm runs must start that npm; Windows starts no npm.cmd without a shell.
const NPM = process.env.npm_execpath;

function run(program, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    ...{ cwd, encoding: "utf8", timeout: LIMIT_MS },
  });
  const reason = error?.message ?? stderr.trim().split("\n").at(-1);
  return status === 0 ? { stdout } : { reason };
}

/**
 * Returns the folder with the package's files; `spec` is `name@version`. No install script runs.
 * Ends the process with 77 where the package cannot be fetched.
 */
export function fetchPackage(spec) {
  const target = join(FOLDER, spec.replace("/", "-"));
  if (existsSync(target)) return target;
  mkdirSync(FOLDER, { recursive: true });
  const folder = mkdtempSync(join(FOLDER, "fetch-"));
  try {
    const pack = ["pack", "--silent", "--fetch-retries=4", spec];
    const packed = NPM ? run(process.execPath, [NPM, ...pack], folder) : run("npm", pack, folder);
    if (packed.reason) unavailable(`${spec} cannot be fetched: ${packed.reason}`);
    const unpacked = run("tar", ["-xzf", packed.stdout.trim().split("\n").at(-1)], folder);
    if (unpacked.reason) unavailable(`${spec} cannot be unpacked: ${unpacked.reason}`);
    // Only a whole package gets the name under which it is looked for.
    renameSync(join(folder, "package"), target);
    return target;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
