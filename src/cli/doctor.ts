import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { withPrinting } from "./conversion-options.ts";
import { runCommand } from "./run-command.ts";
import { formatBytes } from "./units.ts";

/** Registers `doctor`. */
export function registerDoctor(program: Command): void {
  const command = program.command("doctor");
  withPrinting(
    command.description("show which backends can run on this machine, and why others cannot"),
  ).action((flags: { json?: boolean; quiet?: boolean }) =>
    runCommand(flags, async (printer) => {
      const { listBackends, VERSION } = await import("../index.ts");
      const facts = {
        version: VERSION,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        processors: cpus().length,
        memory: totalmem(),
        backends: listBackends(),
      };
      printer.result(facts, () => [
        `mlc-convert ${facts.version}, Node ${facts.node}, ${facts.platform}, ` +
          `${facts.processors} processors, ${formatBytes(facts.memory)}`,
        ...facts.backends.map(({ name, available, reason }) =>
          available ? `  ${name}: ready` : `  ${name}: not here (${reason})`,
        ),
      ]);
      return true;
    }),
  );
}
