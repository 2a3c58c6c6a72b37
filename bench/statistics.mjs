// What --stats costs: the same conversion with and without it, in turns, wall clock and processor time; medians.
//   npm run build && node bench/statistics.mjs [--model 1b] [--runs 5] [--threads N] [--no-sync] [-q q4f16_1]
//                                              [--backend avx2] [--folder DIR]
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { convert, listBackends } from "../dist/index.js";
import { makeModel } from "./model.mjs";
import { median } from "./process.mjs";

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

const folder = await mkdtemp(path.join(os.tmpdir(), "mlc-convert-bench-"));

/** Seconds of one conversion. */
async function timeOf(request) {
  const output = path.join(folder, "out");
  const started = process.hrtime.bigint();
  const before = process.cpuUsage();
  const sync = !values["no-sync"];
  await convert({ ...request, output, sync, weightsOnly: true, threads: Number(values.threads) });
  const { user, system } = process.cpuUsage(before);
  const wall = Number(process.hrtime.bigint() - started) / 1e9;
  await rm(output, { recursive: true });
  return { wall, processor: (user + system) / 1e6 };
}

try {
  const model = makeModel(values.folder, values.model);
  const fast = listBackends().filter(({ available, name }) => available && name !== "reference");
  const backends = fast.filter(({ name }) => values.backend?.includes(name) ?? true);
  for (const { name: backend } of backends) {
    for (const quantization of values.quantization) {
      const plain = [];
      const measured = [];
      const kinds = [
        () => timeOf({ model, quantization, backend }).then((time) => plain.push(time)),
        () => timeOf({ model, quantization, backend, stats: true }).then((time) => measured.push(time)),
      ];
      // Which is first makes a difference.
      for (let run = 0; run < Number(values.runs); run++) {
        for (const measure of run % 2 ? kinds : kinds.toReversed()) await measure();
      }
      for (const what of ["wall", "processor"]) {
        const [without, with_] = [plain, measured].map((times) => median(times.map((time) => time[what])));
        // Neighbours in time share the machine's moods.
        const ratios = plain.map((time, run) => measured[run][what] / time[what]);
        const more = ((median(ratios) - 1) * 100).toFixed(1);
        console.log(
          `${backend} ${quantization} ${what}: ${without.toFixed(3)} s without, ${with_.toFixed(3)} s with --stats, ` +
            `${more} % more in the median pair`,
        );
      }
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
