import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import type { CudaDevices } from "../index.ts";
import { withPrinting } from "./conversion-options.ts";
import { runCommand } from "./run-command.ts";
import { formatBytes } from "./units.ts";

/** Registers `doctor`. */
export function registerDoctor(program: Command): void {
  const command = program.command("doctor");
  withPrinting(
    command.description("show which backends and GPUs can be used on this machine, and why others cannot"),
  ).action((flags: { json?: boolean; quiet?: boolean }) =>
    runCommand(flags, async (printer) => {
      const { listBackends, listCudaDevices, VERSION } = await import("../index.ts");
      const facts = {
        version: VERSION,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        processors: cpus().length,
        memory: totalmem(),
        backends: listBackends(),
        cuda: await listCudaDevices(),
      };
      printer.result(facts, () => [
        `mlc-convert ${facts.version}, Node ${facts.node}, ${facts.platform}, ` +
          `${facts.processors} processors, ${formatBytes(facts.memory)}`,
        ...facts.backends.map(({ name, available, reason }) =>
          available ? `  ${name}: ready` : `  ${name}: not here (${reason})`,
        ),
        ...cudaLines(facts.cuda),
      ]);
      return true;
    }),
  );
}

function cudaLines({ devices, reason }: CudaDevices): readonly string[] {
  if (devices.length === 0) return [`  cuda: not here (${reason ?? "there is no GPU"})`];
  return devices.map(({ device, name, memoryBytes, computeCapability, reason: why }) =>
    why === undefined
      ? `  ${device}: ready, ${name}, ${formatBytes(memoryBytes)}, compute capability ${computeCapability}`
      : `  ${device}: cannot be used (${why})`,
  );
}
