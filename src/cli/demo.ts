import type { Command } from "commander";
import { withPrinting } from "./conversion-options.ts";
import { summary } from "./convert.ts";
import { runCommand } from "./run-command.ts";

interface DemoFlags {
  readonly quantization: string;
  readonly output?: string;
  readonly fromHub?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Registers `demo`. */
export function registerDemo(program: Command): void {
  const command = program.command("demo");
  withPrinting(
    command.description("make a small synthetic model, convert it and verify the result; needs no network"),
  )
    .option("-q, --quantization <name>", "quantization scheme", "q4f16_1")
    .option("-o, --output <folder>", "keep the result here")
    .option("--from-hub", "go through a hub on this machine: name, download, plan, convert, verify")
    .action((flags: DemoFlags) =>
      runCommand(flags, async (printer, signal) => {
        const { runDemo } = await import("../demo.ts");
        const result = await runDemo(flags, { onEvent: printer.onEvent.bind(printer), signal });
        const sound = result.verified.faults.length === 0;
        printer.result(result, () => [
          ...summary(result.conversion).filter((line) => flags.output || !line.startsWith("Saved to")),
          sound ? "Verified: every shard matches its hash" : "Verification found faults",
        ]);
        return sound;
      }),
    );
}
