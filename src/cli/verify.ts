import type { Command } from "commander";
import { withPrinting } from "./conversion-options.ts";
import { positiveInteger } from "./option-types.ts";
import { runCommand } from "./run-command.ts";
import { formatBytes, formatCount } from "./units.ts";

interface VerifyFlags {
  readonly backend: string;
  readonly threads?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Registers `verify`. */
export function registerVerify(program: Command): void {
  withPrinting(
    program
      .command("verify <path>")
      .description("check a converted model: index, shards, hashes; or GGUF: header, tensors, hashes"),
  )
    .option("--backend <name>", "kernels to hash with", "auto")
    .option(
      "--threads <count>",
      "worker threads (default: one a processor, as far as memory goes)",
      positiveInteger,
    )
    .addHelpText(
      "after",
      "\nExit code 0: sound. 1: faults were found.\n\nExamples:\n  $ mlc-convert verify ./out\n  $ mlc-convert verify ./model.gguf",
    )
    .action((folder: string, flags: VerifyFlags) =>
      runCommand(flags, async (printer, signal) => {
        const { verify } = await import("../verify.ts");
        const result = await verify(folder, { ...flags, signal });
        for (const message of result.notices) printer.onEvent({ type: "notice", message });
        printer.result(result, () => [
          ...result.faults.map(({ file, problem }) => `${file}: ${problem}`),
          result.faults.length === 0
            ? `sound: ${formatCount(result.tensors, "tensor")} in ${formatCount(result.shards, "shard")}, ${formatBytes(result.nbytes)}`
            : formatCount(result.faults.length, "fault"),
        ]);
        return result.faults.length === 0;
      }),
    );
}
