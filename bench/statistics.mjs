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

/** One conversion: its seconds, and how many of them, summed over threads, it computed. */
async function timeOf(scheme, backend, flags) {
  const output = path.join(folder, "out");
  const more = ["--backend", backend, ...(values["no-sync"] ? ["--no-fsync"] : []), ...flags];
  const args = convertArgs({ model, scheme, threads: values.threads, output, more });
  const { seconds, last } = await runProcess(process.execPath, args);
  await rm(output, { recursive: true });
  return { seconds, computing: JSON.parse(last).phases.compute / 1000 };
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
  const of = (runs, what) => runs.map((run) => run[what]);
  const seconds = { plain: of(plain, "seconds"), measured: of(measured, "seconds") };
  // Neighbours in time share the machine's moods; moods only ever add to the fastest. Writing is what varies most.
  const pairs = median(seconds.plain.map((one, run) => seconds.measured[run] / one));
  const fastest = quartile(seconds.measured) / quartile(seconds.plain);
  const more = quartile(of(measured, "computing")) - quartile(of(plain, "computing"));
  const computing = 1 + more / Number(values.threads) / quartile(seconds.plain);
  console.log(
    `${backend} ${quantization}: ${median(seconds.plain).toFixed(3)} s without, ` +
      `${median(seconds.measured).toFixed(3)} s with --stats; ${percent(pairs)} more in the median pair, ` +
      `${percent(fastest)} in the lower quartiles, ${percent(computing)} by computing alone`,
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
