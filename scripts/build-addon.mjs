// Builds the addon for this machine into build/Release with CMake (cmake-js finds generator and compiler).
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const cmakeJs = join(require.resolve("cmake-js/package.json"), "../bin/cmake-js");
const result = spawnSync(
  process.execPath,
  [cmakeJs, "compile", "--log-level", "warn", ...process.argv.slice(2)],
  {
    stdio: "inherit",
  },
);
process.exitCode = result.status ?? 1;
