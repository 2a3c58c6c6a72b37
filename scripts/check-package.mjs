// Packs the package, installs the tarball in an empty folder and converts there, as a user would: with no compiler
// on the PATH and only the prebuilt addon. `npm run build:ts`, `npm run build:types` and `npm run prebuild` come first,
// or `--tarball FILE` names a package that was packed elsewhere.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const WINDOWS = process.platform === "win32";
// npm's own entry point, because Windows starts no .cmd file without a shell.
const NPM = process.env.npm_execpath;
if (!NPM) throw new Error("run me with npm: npm run check-package");

const npm = (args, cwd) => execFileSync(process.execPath, [NPM, ...args], { cwd, encoding: "utf8" });

/** Fails unless `condition` holds. */
function expect(condition, what) {
  if (!condition) throw new Error(`check-package: ${what}`);
  console.log(`ok: ${what}`);
}

/** Packs into `folder`; returns the tarball's path. */
function pack(folder) {
  const [{ filename, files }] = JSON.parse(npm(["pack", "--json", "--pack-destination", folder], ROOT));
  const paths = files.map(({ path }) => path);
  const platform = `prebuilds/${process.platform}-${process.arch}/`;
  expect(
    paths.some((path) => path.startsWith(platform)),
    `the tarball holds ${platform}`,
  );
  for (const types of ["dist/index.d.ts", "dist/index.d.cts"])
    expect(paths.includes(types), `the tarball holds ${types}`);
  const foreign = paths.filter((path) => /^(src|cpp|test|bench|build)\/|binding\.gyp/.test(path));
  expect(foreign.length === 0, `the tarball holds no sources ${foreign.slice(0, 3)}`);
  return join(folder, filename);
}

/** Compiles a program against the package as strictly as TypeScript can, as a module of either kind. */
function checkTypes(project) {
  const program = `import { type ConversionReport, convert } from "mlc-convert";
const report: Promise<ConversionReport> = convert({ model: "a", quantization: "q4f16_1", output: "b" });
// @ts-expect-error: a model is named by a string
convert({ model: report, quantization: "q4f16_1", output: "b" });
`;
  for (const name of ["required.cts", "imported.mts"]) writeFileSync(join(project, name), program);
  const modules = { module: "node16", moduleResolution: "node16", target: "es2022", types: [] };
  const compilerOptions = { ...modules, noEmit: true, strict: true, skipLibCheck: false };
  const config = { compilerOptions, files: ["required.cts", "imported.mts"] };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", project], { encoding: "utf8" });
  expect(status === 0, `import and require find its types ${stdout}`);
}

/** Environment with nothing on the PATH but Node, and with prebuilt addons only. */
function bareEnvironment(folder) {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  if (!WINDOWS) symlinkSync(process.execPath, join(bin, "node"));
  const path = WINDOWS ? [dirname(process.execPath), join(process.env.SystemRoot ?? "", "System32")] : [bin];
  return { ...process.env, PATH: path.join(delimiter), PREBUILDS_ONLY: "1" };
}

const given = parseArgs({ options: { tarball: { type: "string" } } }).values.tarball;
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-package-"));
try {
  const tarball = given ? resolve(given) : pack(folder);
  const project = join(folder, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  npm(["install", "--no-audit", "--no-fund", "--ignore-scripts", tarball], project);
  const cli = join(project, "node_modules/mlc-convert/dist/cli/main.cjs");
  const env = bareEnvironment(folder);
  const run = (...args) =>
    execFileSync(process.execPath, [cli, ...args], { cwd: project, env, encoding: "utf8" });

  const load = (...code) => execFileSync(process.execPath, code, { cwd: project, env, encoding: "utf8" });
  const imported = load(
    "--input-type=module",
    "-e",
    'import { VERSION } from "mlc-convert"; console.log(VERSION)',
  );
  expect(/^\d+\.\d+\.\d+/.test(imported), "import loads it");
  const required = load(
    "-e",
    'import("mlc-convert").then((all) => console.log(Object.entries(require("mlc-convert")).every(([name, it]) => all[name] === it)))',
  );
  expect(required.trim() === "true", "require loads the same");
  checkTypes(project);

  expect(/^\d+\.\d+\.\d+/.test(run("--version")), "it says its version");
  const { backends } = JSON.parse(run("doctor", "--json").trim().split("\n").at(-1));
  expect(
    backends.some(({ available }) => available),
    "the prebuilt addon loads",
  );
  run("demo", "--quiet", "--output", join(project, "model"));
  expect(existsSync(join(project, "model/tensor-cache.json")), "it converts and verifies a model");
  expect(readdirSync(join(project, "model")).includes("params_shard_0.bin"), "the model has its shards");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
