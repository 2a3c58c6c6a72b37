// Times whole conversions of models of real shapes, and what the machine could do at best in the same run.
//   npm run bench -- [--models 1b,135m] [--schemes q4f16_1,q0f16] [--threads 1,2] [--runs 3]
//                    [--folder DIR] [--json FILE] [--baseline 'command {model} {output}'] [--kernels]
// Prints seconds, GB/s of source, peak anonymous memory, the floor and the ratio to it, how long Ctrl-C takes, and
// ratios to the baseline; gates nothing. `node bench/plot.mjs FILE` draws the JSON.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeModel } from "./model.mjs";
import { convertArgs, median, runProcess } from "./process.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    models: { type: "string", default: "1b,135m" },
    schemes: { type: "string", default: "q4f16_1,q0f16,q4f16_0,q4f32_1,q3f16_1,q0f32,q4bf16_1" },
    threads: { type: "string", default: String(cpus().length) },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: join(tmpdir(), "mlc-convert-bench") },
    json: { type: "string" },
    baseline: { type: "string" },
    kernels: { type: "boolean", default: false },
  },
});
const list = (text) => text.split(",").filter(Boolean);
const OUTPUT = join(values.folder, "out");
const PARTIAL = `${OUTPUT}.mlc-convert-partial`;

const argsOf = (one) => convertArgs({ ...one, output: OUTPUT, more: ["--no-fsync"] });

async function convertOnce(one) {
  const { seconds, peak, last } = await runProcess(process.execPath, argsOf(one));
  const longest = longestShard();
  // What comes next writes as much: into the same memory, not into what the host has to give first.
  rmSync(OUTPUT, { recursive: true });
  return { seconds, peak, longest, report: JSON.parse(last) };
}

/** Bytes of the longest shard of the last conversion. */
function longestShard() {
  const { records } = JSON.parse(readFileSync(join(OUTPUT, "tensor-cache.json"), "utf8"));
  return Math.max(...records.map(({ nbytes }) => nbytes));
}

/** Milliseconds from Ctrl-C in the middle of a conversion to the end of the process. */
async function cancelOnce(one) {
  let sent;
  const onLine = (line, at, child) => {
    if (sent !== undefined || !line.includes('"progress"')) return;
    sent = at;
    child.kill("SIGINT");
  };
  const { seconds } = await runProcess(process.execPath, argsOf(one), { onLine, expected: 130 });
  rmSync(PARTIAL, { recursive: true, force: true });
  return seconds * 1000 - sent;
}

/** Each phase alone at full speed, in seconds on all threads. */
function floorOf({ source, scheme, nbytes, longest, threads }) {
  const folder = join(values.folder, "floor");
  mkdirSync(folder, { recursive: true });
  const args = [source, folder, String(nbytes), String(longest), threads, scheme];
  const result = spawnSync(join(ROOT, "build/bench-floor"), args, { encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  if (result.status !== 0) throw new Error(`bench-floor failed: ${result.stderr}`);
  return JSON.parse(result.stdout);
}

async function measure(name, scheme, threads) {
  const model = makeModel(values.folder, name);
  const one = { model, scheme, threads };
  const source = join(model, "model.safetensors");
  const {
    longest,
    report: { nbytes },
  } = await convertOnce(one);
  const runs = [];
  const floors = [];
  for (let i = 0; i < Number(values.runs); i++) {
    runs.push(await convertOnce(one));
    floors.push(floorOf({ source, scheme, nbytes, longest, threads }));
  }
  const seconds = median(runs.map((run) => run.seconds));
  const { report } = runs.find((run) => run.seconds === seconds);
  const phases = ["read", "compute", "hash", "write"];
  const floor = Object.fromEntries(phases.map((phase) => [phase, median(floors.map((each) => each[phase]))]));
  const best = phases.reduce((sum, phase) => sum + floor[phase], 0);
  const bytes = statSync(source).size;
  return {
    ...{ model: name, scheme, threads: Number(threads), backend: report.backend, seconds },
    gbPerSecond: bytes / 1e9 / seconds,
    peakAnonymousMiB: Math.max(...runs.map(({ peak }) => peak)) / 2 ** 20,
    inside: report.milliseconds / 1000,
    ...{ phases: report.phases, floor, floorSeconds: best, ratioToFloor: seconds / best },
    // A small model is done before anybody could stop it.
    ...(bytes > 1e9 ? { cancelMilliseconds: await cancelOnce(one) } : {}),
  };
}

function printRow(one) {
  const parts = Object.values(one.floor).map((part) => part.toFixed(3));
  const cells = [
    one.model.padEnd(6),
    one.scheme.padEnd(9),
    String(one.threads).padStart(7),
    one.seconds.toFixed(3).padStart(8),
    one.gbPerSecond.toFixed(2).padStart(5),
    `${one.peakAnonymousMiB.toFixed(0)} MiB`.padStart(8),
    one.floorSeconds.toFixed(3).padStart(6),
    one.ratioToFloor.toFixed(2).padStart(5),
    (one.cancelMilliseconds?.toFixed(0) ?? "-").padStart(6),
  ];
  console.log(`${cells.join("  ")}  (${parts.join(" ")})`);
}

async function measureBaseline(name, ours) {
  const model = makeModel(values.folder, name);
  const output = join(values.folder, "baseline");
  const command = values.baseline.replaceAll("{model}", model).replaceAll("{output}", output);
  const { seconds, peak } = await runProcess("sh", ["-c", command]);
  rmSync(output, { recursive: true, force: true });
  for (const { scheme, threads, seconds: own } of ours) {
    console.log(
      `${name} ${scheme}, ${threads} threads: ${(seconds / own).toFixed(1)} times the baseline's speed`,
    );
  }
  return { model: name, command: values.baseline, seconds, peakAnonymousMiB: peak / 2 ** 20 };
}

/** GB/s of source per core in cache, kernel by kernel. */
function measureKernels() {
  const { stdout } = spawnSync(join(ROOT, "build/kernel-check"), ["--bench", "--json"], { encoding: "utf8" });
  const rows = stdout.trim().split("\n");
  return rows.map((line) => JSON.parse(line));
}

const targets = ["bench-floor", ...(values.kernels ? ["kernel-check"] : [])];
spawnSync("cmake", ["--build", join(ROOT, "build"), "--target", ...targets], { stdio: "inherit" });
// What an interrupted run left.
for (const folder of [OUTPUT, PARTIAL]) rmSync(folder, { recursive: true, force: true });
const results = [];
const baselines = [];
console.log(
  "model   scheme     threads   seconds   GB/s   RssAnon   floor  ratio  Ctrl-C  (read compute hash write)",
);
for (const name of list(values.models)) {
  const ours = [];
  for (const scheme of list(values.schemes)) {
    for (const threads of list(values.threads)) {
      const one = await measure(name, scheme, threads);
      ours.push(one);
      printRow(one);
    }
  }
  results.push(...ours);
  if (values.baseline) baselines.push(await measureBaseline(name, ours));
}
const kernels = values.kernels ? measureKernels() : [];
if (values.json) {
  const machine = { processor: cpus()[0].model, processors: cpus().length, node: process.version };
  writeFileSync(values.json, `${JSON.stringify({ machine, results, baselines, kernels }, null, 2)}\n`);
}
