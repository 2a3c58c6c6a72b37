import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { CLI } from "../support/cli.ts";
import { buildGoldenCase, GOLDEN_CASES, readGoldenCase } from "../support/golden-case.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { describeWith } from "./needs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${ROOT}/build/native`;
const NVCC = `${ROOT}/build/cuda-toolchain/nvidia/cu13/bin/nvcc`;
const LIBRARY = `${BUILD}/libmlc_convert_cuda.so`;
/** Compute capabilities that docs/platforms.md promises code for; CUDA 13 compiles for none before 7.5. */
const ARCHITECTURES = [75, 80, 86, 89, 90, 100, 110, 120];
const HAS_GPU = existsSync("/dev/nvidia0");
const MINUTES = 60_000;

// Takes about a minute, once: later runs find it compiled.
describeWith({ feature: "cuda", programs: [NVCC] }, () => {
  beforeAll(() => {
    const targets = ["--target", "kernel-check", "mlc_convert_cuda"];
    execFileSync("cmake", ["-S", ROOT, "-B", BUILD], { stdio: "pipe" });
    execFileSync("cmake", ["--build", BUILD, "-j2", ...targets], { stdio: "pipe" });
  }, 10 * MINUTES);

  /** Compares the backend of GPU 0 with the reference. */
  function check() {
    const words = ["--backend", "cuda:0", "--cuda", LIBRARY];
    const { status, stdout, stderr } = spawnSync(`${BUILD}/kernel-check`, words, { encoding: "utf8" });
    return { status, out: stdout, error: stderr };
  }

  it("exports three functions and needs no CUDA library", () => {
    const symbols = execFileSync("nm", ["-D", "--defined-only", LIBRARY], { encoding: "utf8" });
    const lines = symbols.trim().split("\n");
    const names = lines.map((line) => line.split(" ")[2]);
    expect(names).toEqual(["mlc_cuda_backend", "mlc_cuda_devices", "mlc_cuda_take_failure"]);
    expect(execFileSync("ldd", [LIBRARY], { encoding: "utf8" })).not.toMatch(/libcuda/);
  });

  it("holds code for every GPU that is promised, and PTX for later ones", () => {
    // A fat binary is ELF images of EM_CUDA (190), and PTX, whose text is compressed; both lie behind headers
    // (magic 16 bits kind, 1 PTX or 2 ELF; header bytes at 4; body bytes at 8; compute capability at 28).
    const found = fatBinaryEntries(readFileSync(LIBRARY));
    const code = new Set(found.filter(({ kind }) => kind === 2).map(({ architecture }) => architecture));
    const ptx = new Set(found.filter(({ kind }) => kind === 1).map(({ architecture }) => architecture));
    expect([...code].sort((a, b) => a - b)).toEqual(expect.arrayContaining(ARCHITECTURES));
    expect([...ptx]).toContain(ARCHITECTURES.at(-1));
  });

  it.runIf(HAS_GPU)("computes every kernel bit for bit like the reference on a GPU", () => {
    const { out, error } = check();
    expect(error).toBe("");
    expect(out).toContain(" 0 differ");
  });

  describe.skipIf(HAS_GPU)("on a machine without a driver", () => {
    const reason = "no NVIDIA driver is installed (libcuda was not found)";

    async function convert(device: string) {
      const folder = await tempFolder();
      await buildGoldenCase(await readGoldenCase(new URL("llama-0.json", GOLDEN_CASES)), folder);
      const output = `${folder}/output`;
      const words = ["convert", folder, "-q", "q4f16_1", "-o", output, "--weights-only", "--device", device];
      const env = { ...process.env, MLC_CONVERT_CUDA_LIBRARY: LIBRARY };
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words, "--json"], {
        ...{ encoding: "utf8", env },
      });
      return { status, out: stdout + stderr, last: stdout.trim().split("\n").at(-1) ?? "", output };
    }

    it("kernel-check answers with the reason", () => {
      const { status, error } = check();
      expect(error).toContain(`cuda:0 was not run: ${reason}`);
      expect(status).toBe(3);
    });

    it("--device cuda:0 fails with the reason and the exit code of a backend", async () => {
      const { status, last, output } = await convert("cuda:0");
      const { error } = JSON.parse(last);
      expect(error).toMatchObject({ class: "KernelError", code: "E_DEVICE", hint: expect.any(String) });
      expect(error.message).toBe(`cuda:0 cannot be used: ${reason}`);
      expect(status).toBe(6);
      expect(existsSync(output)).toBe(false);
    });

    it("--device auto converts on the processor and says so", async () => {
      const { status, out, output } = await convert("auto");
      expect(out).toContain(`converting on the CPU: no GPU can be used: ${reason}`);
      expect(status).toBe(0);
      expect(readdirSync(output)).toContain("tensor-cache.json");
    });
  });
});

interface FatBinaryEntry {
  readonly kind: number;
  readonly architecture: number;
}

/** The entries of all fat binaries in a file, found by their magic number. */
function fatBinaryEntries(file: Buffer): readonly FatBinaryEntry[] {
  const MAGIC = Buffer.from("50ed55ba01001000", "hex");
  const entries: FatBinaryEntry[] = [];
  for (let at = file.indexOf(MAGIC); at >= 0; at = file.indexOf(MAGIC, at + 1)) {
    const end = at + 16 + Number(file.readBigUInt64LE(at + 8));
    for (let entry = at + 16; entry < end; ) {
      entries.push({ kind: file.readUInt16LE(entry), architecture: file.readUInt32LE(entry + 28) });
      entry += file.readUInt32LE(entry + 4) + Number(file.readBigUInt64LE(entry + 8));
    }
  }
  return entries;
}
