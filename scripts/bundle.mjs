// Joins the modules that tsc compiled into few CommonJS files, because opening and linking a hundred modules takes
// longer than planning a model: the entries keep their places in dist/, what they share goes to dist/chunks/. Packages
// stay outside. What `import` finds, dist/index.js, hands on what dist/index.cjs has.
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const ARCHITECTURES = "plan/architectures";

const files = readdirSync(`${DIST}/${ARCHITECTURES}`).filter((file) => file.endsWith(".js"));
const entries = ["index.js", "cli/main.js", ...files.map((file) => `${ARCHITECTURES}/${file}`)];

const bundle = await rolldown({
  input: Object.fromEntries(entries.map((entry) => [entry.slice(0, -".js".length), `${DIST}/${entry}`])),
  platform: "node",
  external: (id) => !/^[./]/.test(id) && !/^[A-Z]:/.test(id),
});
rmSync(`${DIST}/chunks`, { recursive: true, force: true });
const { output } = await bundle.write({
  dir: DIST,
  format: "cjs",
  entryFileNames: "[name].cjs",
  chunkFileNames: "chunks/[name]-[hash].cjs",
  comments: false,
});
await bundle.close();

// core/package-root.ts looks for the package two folders up, so it must not have ended in an entry that lies elsewhere.
const index = output.find(({ fileName }) => fileName === "index.cjs");
if (index.code.includes("__filename"))
  throw new Error("bundle: dist/index.cjs looks for files beside itself");
const names = index.exports.join(", ");
writeFileSync(`${DIST}/index.js`, `import core from "./index.cjs";\nexport const { ${names} } = core;\n`);
rmSync(`${DIST}/cli/main.js`);
