import { checkModel } from "./check-model.js";
import { layOutTreemap } from "./treemap.js";

const COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d"];
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const problems = [];
let checked = 0;

function showVerdict(state, words) {
  document.body.dataset.state = state;
  byId("verdict").textContent = words;
}

function showFile({ name, nbytes, problem }, done) {
  checked++;
  if (problem) problems.push(`${name}: ${problem}`);
  const state = problem ? "broken" : "sound";
  const row = byId("files").insertRow();
  row.dataset.file = name;
  row.dataset.state = state;
  for (const words of [name, nbytes.toLocaleString("en"), problem ?? "sound"])
    row.insertCell().textContent = words;
  row.cells[2].dataset.state = state;
  byId("progress").value = done;
  byId("verdict").textContent = `Checked ${name}`;
}

function drawTensors(tensors) {
  const totals = new Map();
  for (const { dtype, nbytes } of tensors) totals.set(dtype, (totals.get(dtype) ?? 0) + nbytes);
  const dtypes = [...totals].sort((a, b) => b[1] - a[1]).map(([dtype]) => dtype);
  const colourOf = (dtype) => COLOURS[dtypes.indexOf(dtype) % COLOURS.length];
  const items = tensors.map((tensor) => ({ ...tensor, size: tensor.nbytes }));
  for (const { item, x, y, width, height } of layOutTreemap(items, {
    x: 0,
    y: 0,
    width: 1000,
    height: 560,
  })) {
    const rect = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ x, y, width, height })) rect.setAttribute(key, value);
    rect.setAttribute("fill", colourOf(item.dtype));
    rect.dataset.tensor = item.name;
    rect.dataset.dtype = item.dtype;
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${item.name}: ${item.dtype} [${item.shape.join(", ")}], ${item.nbytes} bytes`;
    rect.append(title);
    byId("map").append(rect);
  }
  for (const dtype of dtypes) {
    const entry = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.style.background = colourOf(dtype);
    entry.append(swatch, `${dtype}: ${totals.get(dtype).toLocaleString("en")} bytes`);
    byId("legend").append(entry);
  }
}

const notices = [];
try {
  await checkModel({
    onFile: showFile,
    onModel(model) {
      document.title = model.title;
      byId("title").textContent = model.title;
      notices.push(...model.notices);
      drawTensors(model.tensors);
    },
  });
  if (problems.length > 0) showVerdict("broken", `Broken: ${problems.join("; ")}`);
  else showVerdict("sound", [`Sound: all ${checked} files have the listed hash.`, ...notices].join(" "));
} catch (error) {
  showVerdict("broken", `Broken: ${error.message}`);
}
byId("progress").value = 1;
