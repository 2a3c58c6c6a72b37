import type { Command } from "commander";
import { withPrinting } from "./conversion-options.ts";
import { runCommand } from "./run-command.ts";

/** Registers `models`. */
export function registerModels(program: Command): void {
  const command = program.command("models [key]");
  withPrinting(
    command.description("list the supported architectures, quantizations and source formats"),
  ).action((key: string | undefined, flags: { json?: boolean; quiet?: boolean }) =>
    runCommand(flags, async (printer) => {
      const { supportMatrix } = await import("../index.ts");
      const rows = (await supportMatrix()).filter((row) => key === undefined || row.key === key);
      printer.result({ models: rows }, () =>
        rows.flatMap((row) => [
          `${row.key} (${row.task}) from ${row.sourceFormats.join(", ")}`,
          `    ${row.schemes.join(" ")}`,
          ...(row.beyondUpstream.length > 0 ? [`    beyond upstream: ${row.beyondUpstream.join(" ")}`] : []),
        ]),
      );
      return rows.length > 0;
    }),
  );
}
