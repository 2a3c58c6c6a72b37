// Times whole conversions of models of real shapes, and what the machine could do at best in the same run.
//   npm run bench -- [--models 1b,135m] [--schemes q4f16_1,q0f16] [--threads 1,2] [--runs 3]
//                    [--folder DIR] [--json FILE] [--baseline 'command {model} {output}']
// Prints seconds, GB/s of source, peak anonymous memory, phases, and ratios; gates nothing.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeModel } from "./model.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    models: { type: "string", default: "1b,135m" },
    schemes: { type: "string", default: "q4f16_1,q0f16,q4f16_0,q4f32_1,q3f16_1" },
    threads: { type: "string", default: String(cpus().length) },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: join(tmpdir(), "mlc-convert-bench") },
    json: { type: "string" },
    baseline: { type: "string" },
  },
});
const list = (text) => text.split(",").filter(Boolean);
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const gb = (bytes) => bytes / 1e9;

/** RssAnon of a process in bytes; 0 once it is gone. */
function anonymousMemory(pid) {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Runs a command to its end; its wall time, last line of output and peak anonymous memory. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    let peak = 0;
    child.stdout.on("data", (piece) => {
      text += piece;
    });
    const timer = setInterval(() => {
      peak = Math.max(peak, anonymousMemory(child.pid));
    }, 10);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(timer);
      const seconds = (performance.now() - start) / 1000;
      if (code !== 0)
        reject(new Error(`${command} ${args.join(" ")} ended with ${code}\n${text.slice(-500)}`));
      else resolve({ seconds, peak, last: text.trim().split("\n").at(-1) });
    });
  });
}

async function convertOnce({ model, scheme, threads, output }) {
  rmSync(output, { recursive: true, force: true });
  const options = [
    "-q",
    scheme,
    "-o",
    output,
    "--threads",
    threads,
    "--no-fsync",
    "--weights-only",
    "--json",
  ];
  const { seconds, peak, last } = await run(process.execPath, [
    join(ROOT, "dist/cli/main.js"),
    "convert",
    model,
    ...options,
  ]);
  return { seconds, peak, report: JSON.parse(last) };
}

/** Each phase alone at full speed, in seconds on all threads. */
function floorOf({ source, folder, nbytes, threads }) {
  mkdirSync(folder, { recursive: true });
  const program = join(ROOT, "build/bench-floor");
  const result = spawnSync(program, [source, folder, String(nbytes), threads], { encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  if (result.status !== 0) throw new Error(`bench-floor failed: ${result.stderr}`);
  return JSON.parse(result.stdout);
}

async function measure(name, scheme, threads) {
  const model = makeModel(values.folder, name);
  const source = join(model, "model.safetensors");
  const output = join(values.folder, "out");
  await convertOnce({ model, scheme, threads, output });
  const runs = [];
  const floors = [];
  for (let i = 0; i < Number(values.runs); i++) {
    runs.push(await convertOnce({ model, scheme, threads, output }));
    const { nbytes } = runs[0].report;
    floors.push(floorOf({ source, folder: join(values.folder, "floor"), nbytes, threads }));
  }
  const seconds = median(runs.map((one) => one.seconds));
  const { report } = runs.find((one) => one.seconds === seconds);
  const floor = Object.fromEntries(
    ["read", "compute", "hash", "write"].map((phase) => [phase, median(floors.map((one) => one[phase]))]),
  );
  // Plain schemes only cast or copy: the group kernel is no phase of theirs.
  if (!scheme.startsWith("q3") && !scheme.startsWith("q4")) floor.compute = 0;
  const best = floor.read + floor.compute + floor.hash + floor.write;
  const bytes = statSync(source).size;
  return {
    model: name,
    scheme,
    threads: Number(threads),
    backend: report.backend,
    seconds,
    gbPerSecond: gb(bytes) / seconds,
    peakAnonymousMiB: Math.max(...runs.map((one) => one.peak)) / 2 ** 20,
    inside: report.milliseconds / 1000,
    phases: report.phases,
    floor,
    ratioToFloor: seconds / best,
  };
}

async function baseline(name) {
  const model = makeModel(values.folder, name);
  const output = join(values.folder, "baseline");
  const command = values.baseline.replaceAll("{model}", model).replaceAll("{output}", output);
  const { seconds } = await run("sh", ["-c", command]);
  rmSync(output, { recursive: true, force: true });
  return { model: name, baseline: values.baseline, seconds };
}

spawnSync("cmake", ["--build", join(ROOT, "build"), "--target", "bench-floor"], { stdio: "inherit" });
const results = [];
console.log("model  scheme    threads  seconds  GB/s   RssAnon  floor    ratio  (read compute hash write)");
for (const name of list(values.models)) {
  for (const scheme of list(values.schemes)) {
    for (const threads of list(values.threads)) {
      const one = await measure(name, scheme, threads);
      results.push(one);
      const { read, compute, hash, write } = one.floor;
      const parts = [read, compute, hash, write].map((part) => part.toFixed(3)).join(" ");
      console.log(
        `${name.padEnd(6)} ${scheme.padEnd(9)} ${threads.padStart(7)}  ${one.seconds.toFixed(3).padStart(7)}  ` +
          `${one.gbPerSecond.toFixed(2).padStart(5)}  ${one.peakAnonymousMiB.toFixed(0).padStart(4)} MiB  ` +
          `${(one.seconds / one.ratioToFloor).toFixed(3)}  ${one.ratioToFloor.toFixed(2).padStart(6)}  (${parts})`,
      );
    }
  }
  if (values.baseline) results.push(await baseline(name));
}
rmSync(join(values.folder, "out"), { recursive: true, force: true });
if (values.json) writeFileSync(values.json, `${JSON.stringify({ results }, null, 2)}\n`);
