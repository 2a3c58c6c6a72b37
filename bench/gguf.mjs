// Times GGUF quantization against llama-quantize, called through the same prebuilt library, in turns on the same
// BF16 file, and compares what both wrote. Needs `npm run llama` and a C++ compiler (Linux).
//   npm run bench:gguf -- [--model 1b] [--types Q4_0,Q4_K_M] [--threads 2] [--runs 3] [--folder DIR]
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readGguf } from "../dist/checkpoint/gguf.js";
import { makeModel } from "./model.mjs";
import { median } from "./process.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "1b" },
    types: { type: "string", default: "Q4_0" },
    threads: { type: "string", default: String(cpus().length) },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: join(tmpdir(), "mlc-convert-bench") },
  },
});
const FILE_TYPES = {
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q4_K_S: 14,
  Q4_K_M: 15,
  Q5_K_M: 17,
};
Object.assign(FILE_TYPES, { Q3_K_M: 12, Q6_K: 18, IQ4_NL: 25, IQ4_XS: 30 });

const binaries = join(ROOT, "build/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64");
const library = join(
  binaries,
  readdirSync(binaries).find((name) => /^libllama\.v?[\d.]*so/.test(name)) ?? "",
);
const program = join(ROOT, "build/llama/llama-quantize");
execFileSync("c++", ["-O2", "-o", program, join(ROOT, "bench/llama-quantize.cpp"), "-ldl"]);

mkdirSync(values.folder, { recursive: true });
const model = makeModel(values.folder, values.model);
for (const name of ["tokenizer.json", "tokenizer_config.json"])
  copyFileSync(join(ROOT, "test/golden/gguf/tokenizers/bpe-llama3", name), join(model, name));

const convert = (source, type, output) =>
  execFileSync(process.execPath, [
    ...[join(ROOT, "dist/cli/main.cjs"), source, "--format", "gguf", "-q", type, "-o", output],
    ...["--force", "--no-fsync", "--quiet", "--threads", values.threads],
  ]);
const theirs = (source, type, output) =>
  execFileSync(program, [library, source, output, String(FILE_TYPES[type]), values.threads], {
    stdio: "ignore",
    env: { ...process.env, LD_LIBRARY_PATH: binaries },
  });

const timed = (work) => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

/** MD5 of every tensor's bytes, by name. */
async function digests(path) {
  const { tensors } = await readGguf(path);
  const file = openSync(path, "r");
  const found = new Map();
  for (const { name, byteOffset, nbytes } of tensors.values()) {
    const hash = createHash("md5");
    for (let at = 0; at < nbytes; ) {
      const chunk = Buffer.alloc(Math.min(nbytes - at, 2 ** 24));
      at += readSync(file, chunk, 0, chunk.length, byteOffset + at);
      hash.update(chunk);
    }
    found.set(name, hash.digest("hex"));
  }
  closeSync(file);
  return found;
}

const source = join(values.folder, `${values.model}-BF16.gguf`);
convert(model, "BF16", source);
for (const type of values.types.split(",")) {
  const [a, b] = ["ours", "theirs"].map((who) => join(values.folder, `${values.model}-${type}-${who}.gguf`));
  const times = { ours: [], fromSafetensors: [], theirs: [] };
  for (let run = 0; run < Number(values.runs); run++) {
    times.theirs.push(timed(() => theirs(source, type, b)));
    times.fromSafetensors.push(timed(() => convert(model, type, a)));
    times.ours.push(timed(() => convert(source, type, a)));
  }
  const [found, expected] = [await digests(a), await digests(b)];
  const different = [...expected].filter(([name, md5]) => found.get(name) !== md5).map(([name]) => name);
  const [ours, direct, llama] = [times.ours, times.fromSafetensors, times.theirs].map(median);
  console.log(
    `${values.model} ${type}, ${values.threads} threads: ${ours.toFixed(2)} s from BF16 GGUF, ` +
      `${direct.toFixed(2)} s from safetensors, llama-quantize ${llama.toFixed(2)} s ` +
      `(${(llama / ours).toFixed(2)} times ours); ${different.length} of ${expected.size} tensors differ`,
  );
  for (const name of different.slice(0, 5)) console.log(`  differs: ${name}`);
  for (const path of [a, b]) rmSync(path);
}
