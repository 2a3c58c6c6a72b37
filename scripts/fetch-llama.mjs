// Installs llama.cpp (node-llama-cpp and its prebuilt binary for this platform's processor, about 90 MB) into
// build/llama, where the tests of test/native/llama.test.ts and bench/gguf.mjs look for it. The GPU binaries, which
// npm would install too if this were a plain development dependency, are several times as large and of no use here.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const VERSION = "3.22.1";
const BINARIES = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

const folder = fileURLToPath(new URL("../build/llama", import.meta.url));
const binary = BINARIES[`${process.platform}-${process.arch}`];
if (binary === undefined) {
  console.error(`llama.cpp has no prebuilt binary for ${process.platform}-${process.arch}`);
  process.exit(1);
}

const packages = [`node-llama-cpp@${VERSION}`, `@node-llama-cpp/${binary}@${VERSION}`];
const isThere = packages.every((name) => {
  const manifest = join(folder, "node_modules", name.slice(0, name.lastIndexOf("@")), "package.json");
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === VERSION;
});
if (isThere) {
  console.log(`llama.cpp is in ${folder} already`);
  process.exit(0);
}
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
const { status } = spawnSync(
  "npm",
  ["install", "--no-save", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", ...packages],
  { cwd: folder, stdio: "inherit", shell: process.platform === "win32" },
);
process.exit(status ?? 1);
