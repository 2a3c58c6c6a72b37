// Downloads a checkpoint from a hub on this machine, with this package and with `aria2c -x16`, sha256 included.
//   npm run build:ts && node bench/download.mjs [--mb 1024] [--files 4] [--runs 3]
import { execFile, fork } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { acquire, openHttp, resolveSource } from "../dist/index.js";

const run = promisify(execFile);
const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "1024" },
    files: { type: "string", default: "4" },
    runs: { type: "string", default: "3" },
  },
});
const [megabytes, count, runs] = [Number(values.mb), Number(values.files), Number(values.runs)];

const base = await mkdtemp(path.join(os.tmpdir(), "mlc-convert-bench-"));
const hub = await startHub();
try {
  const sides = {
    "mlc-convert": oursOnce,
    "aria2c -x16": (target) => aria2Once(target, 16),
    "aria2c -x4": (target) => aria2Once(target, 4),
  };
  const seconds = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let i = 0; i < runs; i++) {
    for (const [name, once] of Object.entries(sides)) {
      const target = path.join(base, `run-${i}-${name.replaceAll(" ", "")}`);
      const begun = performance.now();
      await once(target);
      seconds[name].push((performance.now() - begun) / 1000);
      await rm(target, { recursive: true, force: true });
    }
  }
  const total = hub.files.reduce((sum, { size }) => sum + size, 0) / 1e6;
  for (const [name, list] of Object.entries(seconds)) {
    const best = Math.min(...list);
    const all = list.map((value) => value.toFixed(2)).join(" ");
    console.log(
      `${name.padEnd(12)} best ${(total / best).toFixed(0)} MB/s of ${total.toFixed(0)} MB  (seconds: ${all})`,
    );
  }
  for (const name of ["aria2c -x16", "aria2c -x4"]) {
    const ratio = Math.min(...seconds[name]) / Math.min(...seconds["mlc-convert"]);
    console.log(`mlc-convert / ${name}: ${ratio.toFixed(2)}`);
  }
} finally {
  hub.child.kill();
  await rm(base, { recursive: true, force: true });
}

async function startHub() {
  const folder = path.join(base, "served");
  await mkdir(folder);
  const weightMap = {};
  const chunk = Buffer.allocUnsafe(1 << 20);
  for (let i = 0; i < count; i++) {
    const name = `model-0000${i + 1}-of-0000${count}.safetensors`;
    weightMap[`t${i}`] = name;
    const handle = await open(path.join(folder, name), "w");
    for (let written = 0; written < megabytes / count; written++) await handle.write(randomFillSync(chunk));
    await handle.close();
  }
  await writeFile(path.join(folder, "config.json"), "{}");
  await writeFile(path.join(folder, "tokenizer.json"), "{}");
  await writeFile(
    path.join(folder, "model.safetensors.index.json"),
    JSON.stringify({ weight_map: weightMap }),
  );
  const child = fork(fileURLToPath(new URL("hub-process.mjs", import.meta.url)), [folder]);
  const message = await new Promise((resolve) => child.once("message", resolve));
  return { child, ...message };
}

async function oursOnce(home) {
  const { http, close } = openHttp({ env: {}, userAgent: "bench" });
  const deps = {
    http,
    env: { HF_ENDPOINT: hub.endpoint },
    home,
    platform: process.platform,
    now: Date.now,
    onEvent: () => {},
  };
  await acquire(await resolveSource("org/model", {}, deps), {}, deps);
  await close();
}

/** The same files and hashes, the same number of files at a time; aria2 checks the hash when a file is done. */
async function aria2Once(folder, connections) {
  await mkdir(folder, { recursive: true });
  const list = hub.files.map(({ path: name, sha256 }) => {
    const check = sha256 === undefined ? "" : `\n  checksum=sha-256=${sha256}`;
    return `${hub.endpoint}/org/model/resolve/main/${name}\n  out=${name}${check}`;
  });
  await writeFile(path.join(folder, "list"), list.join("\n"));
  const options = [
    `-x${connections}`,
    `-s${connections}`,
    "-j4",
    "-k1M",
    "-q",
    "--file-allocation=none",
    "--allow-overwrite=true",
  ];
  await run("aria2c", [...options, "-d", folder, "-i", path.join(folder, "list")]);
}
