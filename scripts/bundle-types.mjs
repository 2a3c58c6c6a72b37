// The package's types in one file, once for `import` and once for `require`: dist/index.d.ts and dist/index.d.cts.
// What src/index.ts exports is in it, and what that refers to; nothing else of src/. Needed in the package alone.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { generateDtsBundle } from "dts-bundle-generator";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const entry = { filePath: `${ROOT}src/index.ts`, output: { exportReferencedTypes: false, noBanner: true } };
const [types] = generateDtsBundle([entry], { preferredConfigPath: `${ROOT}tsconfig.build.json` });
mkdirSync(`${ROOT}dist`, { recursive: true });
for (const name of ["index.d.ts", "index.d.cts"]) writeFileSync(`${ROOT}dist/${name}`, types);
