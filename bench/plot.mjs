// Draws what bench/main.mjs measured, and prints it as tables for docs/performance.md.
//   node bench/plot.mjs bench.json docs/performance.svg
import { readFileSync, writeFileSync } from "node:fs";

const [source, target] = process.argv.slice(2);
const { machine, results, kernels } = JSON.parse(readFileSync(source, "utf8"));

const PHASES = [
  ["read", "#4c78a8"],
  ["compute", "#f58518"],
  ["hash", "#54a24b"],
  ["write", "#b279a2"],
];
const OURS = "#333333";
const ROW = 40;
const LEFT = 190;
const WIDTH = 620;

const text = (x, y, content, extra = "") => `<text x="${x}" y="${y}" ${extra}>${content}</text>`;
const bar = (x, y, width, color) =>
  `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0, width).toFixed(1)}" height="12" fill="${color}"/>`;

/** One conversion: its time, and below it the floor's phases one behind the other. */
function row(one, index, scale) {
  const y = 50 + index * ROW;
  let x = LEFT;
  const floor = PHASES.map(([phase, color]) => {
    const width = one.floor[phase] * scale;
    x += width;
    return bar(x - width, y + 13, width, color);
  });
  const label = `${one.model} ${one.scheme}, ${one.threads} thread${one.threads === 1 ? "" : "s"}`;
  const end = LEFT + Math.max(one.seconds, one.floorSeconds) * scale + 6;
  return [
    text(LEFT - 8, y + 16, label, 'text-anchor="end"'),
    bar(LEFT, y, one.seconds * scale, OURS),
    ...floor,
    text(end.toFixed(1), y + 11, `${one.seconds.toFixed(2)} s, ${one.ratioToFloor.toFixed(2)} × floor`),
  ].join("\n");
}

function legend() {
  const entries = [["mlc-convert", OURS], ...PHASES.map(([phase, color]) => [`floor: ${phase}`, color])];
  return entries.map(([name, color], index) => {
    const x = 16 + index * 150;
    return bar(x, 14, 12, color) + text(x + 18, 24, name);
  });
}

function draw() {
  const longest = Math.max(...results.map((one) => Math.max(one.seconds, one.floorSeconds)));
  const scale = (WIDTH - 150) / longest;
  const height = 60 + results.length * ROW;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    "<title>Seconds of every conversion, above the phases of its floor</title>",
    `<rect width="100%" height="100%" fill="white"/>`,
    ...legend(),
    ...results.map((one, index) => row(one, index, scale)),
    "</svg>\n",
  ].join("\n");
}

const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

function conversionTable() {
  const head = ["model", "scheme", "threads", "seconds", "GB/s", "RssAnon", "floor", "ratio", "Ctrl-C"];
  const rows = results.map((one) => [
    ...[one.model, one.scheme, one.threads, one.seconds.toFixed(2), one.gbPerSecond.toFixed(2)],
    ...[`${one.peakAnonymousMiB.toFixed(0)} MiB`, one.floorSeconds.toFixed(2), one.ratioToFloor.toFixed(2)],
    one.cancelMilliseconds === undefined ? "" : `${one.cancelMilliseconds.toFixed(0)} ms`,
  ]);
  return table(head, rows);
}

function kernelTable() {
  const backends = [...new Set(kernels.map(({ backend }) => backend))];
  const names = [...new Set(kernels.map(({ kernel }) => kernel.replace(/, \d+ streams?$/, "")))];
  const rate = (name, backend) =>
    kernels.find((one) => one.backend === backend && one.kernel.startsWith(name))?.gbPerSecond.toFixed(2) ??
    "";
  return table(
    ["kernel", ...backends],
    names.map((name) => [name, ...backends.map((backend) => rate(name, backend))]),
  );
}

writeFileSync(target, draw());
console.log(`${machine.processors} × ${machine.processor}, Node ${machine.node}\n\n${conversionTable()}`);
if (kernels.length > 0) console.log(`\n${kernelTable()}`);
