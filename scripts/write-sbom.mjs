// Writes the packed package's bill of materials (CycloneDX): what `npm install` of the tarball brings, by version and
// licence. `npm run sbom -- --tarball FILE --output FILE`; without a tarball it packs, without an output it only checks.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
if (!process.env.npm_execpath) throw new Error("run me with npm: npm run sbom");
const npm = (args, cwd) =>
  execFileSync(process.execPath, [process.env.npm_execpath, ...args], { cwd, encoding: "utf8" });

/** Unpacks and installs the tarball as a project of its own, and describes that. */
function describe(tarball, folder) {
  // npm names the root after its folder.
  const project = join(folder, "mlc-convert");
  mkdirSync(project);
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", project]);
  // npm refuses to describe a project whose development dependencies are absent.
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  const { devDependencies, ...published } = manifest;
  writeFileSync(join(project, "package.json"), JSON.stringify(published));
  npm(["install", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts"], project);
  const text = npm(["sbom", "--omit=dev", "--sbom-format=cyclonedx", "--sbom-type=library"], project);
  return { text, wanted: Object.keys(published.dependencies) };
}

const { tarball, output } = parseArgs({
  options: { tarball: { type: "string" }, output: { type: "string" } },
}).values;
const folder = mkdtempSync(join(tmpdir(), "mlc-convert-sbom-"));
try {
  const pack = ["pack", "--silent", "--pack-destination", folder];
  const { text, wanted } = describe(
    tarball ? resolve(tarball) : join(folder, npm(pack, ROOT).trim()),
    folder,
  );
  const { components } = JSON.parse(text);
  const names = components.map(({ name, group }) => (group ? `${group}/${name}` : name));
  const absent = wanted.filter((name) => !names.includes(name));
  if (absent.length > 0) throw new Error(`the bill of materials lacks ${absent.join(", ")}`);
  const unlicensed = components.filter(({ licenses }) => !licenses?.length).map(({ name }) => name);
  if (unlicensed.length > 0) throw new Error(`no licence is known of ${unlicensed.join(", ")}`);
  if (output) writeFileSync(output, text);
  console.log(
    `ok: ${components.length} components, all ${wanted.length} dependencies among them, all with a licence`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
