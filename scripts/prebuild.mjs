// Builds the packaged addons into prebuilds/: for this machine, and for linux-arm64 where Debian's cross compiler
// is installed. `npm run prebuild -- --arch arm64` builds one architecture and fails if it cannot.
//
// node-gyp empties the build/ folder it works in, and ours holds other builds: it gets a folder of its own.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCES = ["binding.gyp", "package.json", "cpp", "scripts/gyp-sources.cjs"];
const CROSS = "aarch64-linux-gnu-";

const prebuildify = join(
  dirname(createRequire(import.meta.url).resolve("prebuildify/package.json")),
  "bin.js",
);

/** Whether Debian's compiler for arm64 can be started. */
function hasCrossCompiler() {
  return spawnSync(`${CROSS}g++`, ["--version"], { stdio: "ignore" }).status === 0;
}

/** A folder with the sources alone; returns its path. */
function stage(arch) {
  const folder = join(ROOT, "build", `prebuild-${arch}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "scripts"), { recursive: true });
  for (const source of SOURCES) cpSync(join(ROOT, source), join(folder, source), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
  return folder;
}

/** Environment and options of a build for another architecture than this machine's. */
function crossSettings(arch) {
  if (arch === process.arch || process.platform !== "linux" || arch !== "arm64") return { env: {}, args: [] };
  return {
    env: { CC: `${CROSS}gcc`, CXX: `${CROSS}g++`, AR: `${CROSS}ar`, LINK: `${CROSS}g++` },
    args: ["--strip-bin", `${CROSS}strip`],
  };
}

/** Most Node installations bring their headers: then node-gyp needs no network. */
function headerSettings() {
  const prefix = dirname(dirname(process.execPath));
  const here = existsSync(join(prefix, "include/node/node_api.h"));
  return here && !process.env.npm_config_nodedir ? { npm_config_nodedir: prefix } : {};
}

/** Builds one architecture; ends the process if that fails. */
function prebuild(arch) {
  const { env, args } = crossSettings(arch);
  const options = ["--napi", "--strip", "--arch", arch, "--target", process.versions.node, "--out", ROOT];
  if (process.platform === "linux") options.push("--tag-libc");
  const { status } = spawnSync(process.execPath, [prebuildify, ...options, ...args], {
    cwd: stage(arch),
    env: { ...process.env, ...headerSettings(), ...env },
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
  console.log(`prebuilds/${process.platform}-${arch}: done`);
}

const { arch } = parseArgs({ options: { arch: { type: "string" } } }).values;
if (arch) {
  prebuild(arch);
} else {
  prebuild(process.arch);
  const crosses = process.platform === "linux" && process.arch === "x64";
  if (crosses && hasCrossCompiler()) prebuild("arm64");
  else if (crosses) console.log("prebuilds/linux-arm64: not built, g++-aarch64-linux-gnu is not installed");
}
