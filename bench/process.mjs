// Runs a program and watches it: wall time, peak anonymous memory, what it printed.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Node 20 reads these certificates at every start, 0.07 s that are not the converter's.
delete process.env.NODE_EXTRA_CA_CERTS;

/** RssAnon of a process in bytes; 0 once it is gone. */
function anonymousMemory(pid) {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/**
 * Runs a command to its end.
 * @param onLine called with every line of its output, the milliseconds since its start, and the process
 */
export function runProcess(command, args, { onLine = () => {}, expected = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = [];
    let rest = "";
    let peak = 0;
    child.stdout.on("data", (piece) => {
      const parts = (rest + piece).split("\n");
      rest = parts.pop();
      for (const line of parts) {
        lines.push(line);
        onLine(line, performance.now() - start, child);
      }
    });
    const timer = setInterval(() => {
      peak = Math.max(peak, anonymousMemory(child.pid));
    }, 10);
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(timer);
      const seconds = (performance.now() - start) / 1000;
      if (code === expected) resolve({ seconds, peak, last: lines.at(-1) });
      else
        reject(new Error(`${command} ${args.join(" ")} ended with ${code}\n${lines.slice(-5).join("\n")}`));
    });
  });
}

const CLI = fileURLToPath(new URL("../dist/cli/main.cjs", import.meta.url));

/** Node's arguments for a conversion of weights; `more`: further options. */
export function convertArgs({ model, scheme, threads, output, more = [] }) {
  const options = ["-q", scheme, "-o", output, "--threads", threads, "--weights-only", "--json", ...more];
  return [CLI, "convert", model, ...options];
}

const ranked = (numbers, share) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * share)];

export const median = (numbers) => ranked(numbers, 1 / 2);
/** The lower one. */
export const quartile = (numbers) => ranked(numbers, 1 / 4);
