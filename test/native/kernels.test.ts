import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";

interface Isa {
  readonly arch: "any" | "x64" | "arm64";
  readonly files: readonly string[];
}

interface Sources {
  readonly kernels: readonly string[];
  readonly check: readonly string[];
  readonly isa: Readonly<Record<string, Isa>>;
}

interface GoldenScheme {
  readonly dtype: "float16" | "bfloat16" | "float32";
  readonly layout: "NK" | "KN";
  readonly rows: number;
  readonly cols: number;
  readonly w: readonly string[];
  readonly q: readonly string[];
  readonly s: readonly string[];
}

interface Backend {
  readonly name: string;
  readonly whyNot: string | undefined;
}

const root = join(import.meta.dirname, "..", "..");
const cpp = join(root, "cpp");
// Not build/kernel-check: that is the name of the program in the development build.
const buildFolder = join(root, "build", "kernels-test");
const program = join(buildFolder, process.platform === "win32" ? "kernel-check.exe" : "kernel-check");
const sources: Sources = JSON.parse(readFileSync(join(cpp, "sources.json"), "utf8"));

function build(): void {
  const configure = ["-S", root, "-B", buildFolder, "-DCMAKE_BUILD_TYPE=Release", "-DMLC_ADDON=OFF"];
  execFileSync("cmake", configure, { stdio: "pipe" });
  const target = ["--build", buildFolder, "--target", "kernel-check", "--parallel", "2"];
  execFileSync("cmake", target, { stdio: "pipe" });
}

function listBackends(): readonly Backend[] {
  const lines = execFileSync(program, ["--list"], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => {
    const colon = line.indexOf(": ");
    return colon < 0
      ? { name: line, whyNot: undefined }
      : { name: line.slice(0, colon), whyNot: line.slice(colon + 2) };
  });
}

function check(args: readonly string[], input = ""): { status: number | null; output: string } {
  const run = spawnSync(program, args, { input, encoding: "utf8" });
  return { status: run.status, output: run.stdout + run.stderr };
}

const shortNames = { float16: "f16", bfloat16: "bf16", float32: "f32" } as const;

/** A golden scheme as one line for `kernel-check --golden` (cpp/check/golden.cpp). */
function goldenLine(name: string, scheme: GoldenScheme): string {
  const dtype = shortNames[scheme.dtype];
  const [bits, group] = name.startsWith("q3") ? [3, 40] : [4, 32];
  const shape = [scheme.layout, scheme.rows, scheme.cols];
  const bytes = [scheme.w.join(""), scheme.q.join(""), scheme.s.join("")];
  return ["group", dtype, dtype, bits, group, ...shape, ...bytes].join(" ");
}

/** A message with MD5's padding, and its digest as another implementation computes it. */
function md5Line(length: number): string {
  const message = Buffer.from(Array.from({ length }, (_, i) => (i * 37 + 11) & 255));
  const padding = Buffer.alloc(((119 - (length % 64)) % 64) + 1 + 8);
  padding[0] = 0x80;
  padding.writeBigUInt64LE(BigInt(length) * 8n, padding.length - 8);
  const digest = createHash("md5").update(message).digest("hex");
  return ["md5", Buffer.concat([message, padding]).toString("hex"), digest].join(" ");
}

function goldenLines(): string {
  const golden: { schemes: Record<string, GoldenScheme> } = JSON.parse(
    readFileSync(join(root, "test", "golden", "kernels.json"), "utf8"),
  );
  const groups = Object.entries(golden.schemes).map(([name, scheme]) => goldenLine(name, scheme));
  expect(groups.length).toBe(7);
  return [...groups, ...[0, 1, 55, 56, 63, 64, 65, 1000].map(md5Line)].join("\n") + "\n";
}

/** The names an object file gives to the linker: external, weak or unique ones. */
function exportedNames(object: string): readonly string[] {
  const listing = execFileSync("nm", ["-C", "--defined-only", "--extern-only", object], { encoding: "utf8" });
  return listing
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.replace(/^[0-9a-f]* /, ""));
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".cpp"))
    .map((entry) => relative(cpp, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

build();
const backends = listBackends();
for (const { name, whyNot } of backends) {
  if (whyNot !== undefined) console.warn(`kernels: ${name} is not tested here: ${whyNot}`);
}

describe("backends", () => {
  it("are listed best first, the reference last and always able to run", () => {
    expect(backends.map((backend) => backend.name)).toEqual(["avx512", "avx2", "neon", "reference"]);
    expect(backends.at(-1)?.whyNot).toBeUndefined();
  });

  it("that this run requires (MLC_REQUIRED_BACKENDS) can run", () => {
    const required = (process.env.MLC_REQUIRED_BACKENDS ?? "reference").split(",");
    const able = backends.filter((backend) => backend.whyNot === undefined).map((backend) => backend.name);
    expect(able).toEqual(expect.arrayContaining(required));
  });

  it("that cannot run or do not exist are refused, not replaced", () => {
    expect(check(["--backend", "abacus"]).status).toBe(3);
  });
});

describe.each(backends)("$name", ({ name, whyNot }) => {
  it.skipIf(whyNot !== undefined)("gives the recorded results, bit for bit", () => {
    const run = check(["--backend", name, "--golden", "-"], goldenLines());
    expect(run.output).toContain("22 results compared, 0 differ");
    expect(run.status).toBe(0);
  });

  it.skipIf(whyNot !== undefined)("equals the reference on hostile and on random input", () => {
    const run = check(["--backend", name, "--random", "5000", "--seed", "7"]);
    expect(run.output).toMatch(/[1-9]\d{4,} results compared, 0 differ/);
    expect(run.status).toBe(0);
  });

  it.skipIf(whyNot !== undefined)("is seen to differ when a recorded result is changed", () => {
    const lines = goldenLines().replace(/[0-9a-f]\n/, (end) => (end.startsWith("0") ? "1\n" : "0\n"));
    const run = check(["--backend", name, "--golden", "-"], lines);
    expect(run.output).toMatch(/MISMATCH \w+: golden group/);
    expect(run.status).toBe(1);
  });
});

describe("sources.json", () => {
  it("names exactly the files there are", () => {
    const listed = [...sources.kernels, ...Object.values(sources.isa).flatMap((isa) => isa.files)];
    const inKernels = listed.filter((file) => file.startsWith("kernels/"));
    expect(inKernels.sort()).toEqual(filesBelow(join(cpp, "kernels")));
    for (const file of listed) expect(existsSync(join(cpp, file)), file).toBe(true);
    expect([...sources.check].sort()).toEqual(filesBelow(join(cpp, "check")));
  });

  const compiledHere = Object.entries(sources.isa).filter(
    ([, isa]) => (isa.arch === "any" || isa.arch === process.arch) && isa.files.length > 0,
  );
  const objects = compiledHere.flatMap(([isa, { files }]) => files.map((file) => ({ isa, file })));

  it("has instruction sets that are compiled here", () => {
    expect(objects.length).toBeGreaterThan(0);
  });

  it.skipIf(process.platform !== "linux").each(objects)("$file exports its one table", ({ isa, file }) => {
    const object = join(buildFolder, "CMakeFiles", `mlc_${isa}.dir`, "cpp", `${file}.o`);
    const names = exportedNames(object);
    expect(names).toHaveLength(1);
    expect(names[0]).toMatch(/^[DR] mlc::k[A-Z]\w+$/);
  });

  it.each(objects)("$file includes nothing that could bring inline functions along", ({ file }) => {
    const text = readFileSync(join(cpp, file), "utf8");
    const includes = [...text.matchAll(/^#include (.+)$/gm)].map((match) => match[1]);
    expect(includes.length).toBeGreaterThan(0);
    for (const name of includes) {
      expect(name).toMatch(/^(<(cstdint|cstddef|cstring|immintrin\.h|arm_neon\.h)>|"[\w./-]+\.h")$/);
    }
  });
});
