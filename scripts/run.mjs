// Programs that a check is made of.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program with this process's streams, or others, and ends with its exit status if that is not 0. */
export function run([program, ...args], { env = {}, stdio = "inherit" } = {}) {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio, env: { ...process.env, ...env } });
  if (error) console.error(`${program} cannot be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/** Those of the programs that cannot be started. */
export function missingPrograms(names) {
  return names.filter((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status !== 0);
}
