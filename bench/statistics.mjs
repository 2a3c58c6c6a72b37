// What --stats costs: the same command with and without it, in turns, start-up included; wall clock.
//   npm run build && node bench/statistics.mjs [--model 1b] [--runs 5] [--threads N] [--no-sync] [-q q4f16_1]
//                                              [--backend avx2] [--folder DIR]
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { listBackends } from "../dist/index.js";
import { makeModel } from "./model.mjs";
import { convertArgs, median, quartile, runProcess } from "./process.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "1b" },
    runs: { type: "string", default: "5" },
    threads: { type: "string", default: String(os.cpus().length) },
    backend: { type: "string", multiple: true },
    folder: { type: "string", default: path.join(os.tmpdir(), "mlc-convert-bench") },
    "no-sync": { type: "boolean", default: false },
    quantization: { type: "string", short: "q", multiple: true, default: ["q4f16_1"] },
  },
});

const model = makeModel(values.folder, values.model);
const folder = await mkdtemp(path.join(os.tmpdir(), "mlc-convert-bench-"));

/** Seconds of one conversion. */
async function timeOf(scheme, backend, flags) {
  const output = path.join(folder, "out");
  const more = ["--backend", backend, ...(values["no-sync"] ? ["--no-fsync"] : []), ...flags];
  const args = convertArgs({ model, scheme, threads: values.threads, output, more });
  const { seconds } = await runProcess(process.execPath, args);
  await rm(output, { recursive: true });
  return seconds;
}

const percent = (ratio) => `${((ratio - 1) * 100).toFixed(1)} %`;

async function compare(quantization, backend) {
  const plain = [];
  const measured = [];
  const kinds = [
    async () => plain.push(await timeOf(quantization, backend, [])),
    async () => measured.push(await timeOf(quantization, backend, ["--stats"])),
  ];
  // Which is first makes a difference.
  for (let run = 0; run < Number(values.runs); run++) {
    for (const measure of run % 2 ? kinds : kinds.toReversed()) await measure();
  }
  // Neighbours in time share the machine's moods; moods only ever add to the fastest.
  const pairs = median(plain.map((seconds, run) => measured[run] / seconds));
  const fastest = quartile(measured) / quartile(plain);
  console.log(
    `${backend} ${quantization}: ${median(plain).toFixed(3)} s without, ${median(measured).toFixed(3)} s with --stats; ` +
      `${percent(pairs)} more in the median pair, ${percent(fastest)} in the lower quartiles`,
  );
}

try {
  const fast = listBackends().filter(({ available, name }) => available && name !== "reference");
  for (const { name } of fast.filter(({ name }) => values.backend?.includes(name) ?? true)) {
    for (const quantization of values.quantization) await compare(quantization, name);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
