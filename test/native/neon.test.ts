import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { describeWith } from "./needs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${ROOT}/build/neon`;
const MINUTES = 60_000;

describeWith({ feature: "neon", programs: ["aarch64-linux-gnu-g++", "qemu-aarch64", "cmake"] }, () => {
  beforeAll(() => {
    const toolchain = "-DCMAKE_TOOLCHAIN_FILE=cpp/toolchains/aarch64-linux-gnu.cmake";
    execFileSync("cmake", ["-S", ROOT, "-B", BUILD, toolchain], { cwd: ROOT, stdio: "pipe" });
    execFileSync("cmake", ["--build", BUILD, "--target", "kernel-check", "-j2"], { stdio: "pipe" });
  }, 10 * MINUTES);

  it(
    "computes every kernel bit for bit like the reference, under emulation",
    () => {
      const report = execFileSync("qemu-aarch64", [`${BUILD}/kernel-check`, "--backend", "neon"], {
        encoding: "utf8",
      });
      expect(report).toMatch(/^neon +[1-9]\d{4,} results compared, 0 differ\n$/);
    },
    10 * MINUTES,
  );
});
