import type { Command } from "commander";
import type { PlanReport } from "../report/plan-report.ts";
import { columns } from "./columns.ts";
import { type ConversionFlags, withConversionOptions, withPrinting } from "./conversion-options.ts";
import { type MemoryFlags, withMemoryOptions } from "./memory-options.ts";
import { runCommand } from "./run-command.ts";
import { toSourceOptions, withoutSourceFlags } from "./source-flags.ts";
import { formatBytes, formatCount } from "./units.ts";

interface PlanFlags extends ConversionFlags, MemoryFlags {
  readonly quantization: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  $ mlc-convert plan ./Llama-3.2-1B-Instruct -q q4f16_1
  $ mlc-convert plan ./Llama-3.2-1B-Instruct -q q4f16_1 --json
  $ mlc-convert plan ./Llama-3.2-1B-Instruct -q auto --ram 8G`;

const SCHEME_HELP =
  "quantization scheme, e.g. q4f16_1, or with --format gguf e.g. Q4_K_M; auto for the best that fits the memory";

/** Registers `plan`. */
export function registerPlan(program: Command): void {
  const command = program.command("plan <model>");
  const described = command.description("show every output tensor, and what is wrong, without converting");
  withPrinting(withMemoryOptions(withConversionOptions(described)))
    .requiredOption("-q, --quantization <name>", SCHEME_HELP)
    .addHelpText("after", EXAMPLES)
    .action((model: string, flags: PlanFlags) =>
      runCommand(flags, async (printer, signal) => {
        const [{ planConversion }, { planReport }] = await Promise.all([
          import("../plan-conversion.ts"),
          import("../report/plan-report.ts"),
        ]);
        const request = { model, ...withoutSourceFlags(flags), acquire: toSourceOptions(flags) };
        const onEvent = printer.onEvent.bind(printer);
        const report = planReport(await planConversion(request, { onEvent, signal }));
        printer.result(report, () => tableOf(report));
        return true;
      }),
    );
}

function tableOf(report: PlanReport): readonly string[] {
  const rows = report.tensors.map(({ name, shape, dtype, nbytes, shard, byteOffset, sources }) => [
    name,
    `[${shape.join(", ")}]`,
    dtype,
    formatBytes(nbytes),
    `${shard}+${byteOffset}`,
    sources.length > 2 ? `${sources[0]} and ${sources.length - 1} more` : sources.join(", "),
  ]);
  const { totals } = report;
  return [
    ...columns([["tensor", "shape", "dtype", "size", "place", "made from"], ...rows]),
    "",
    `${report.architecture}, ${report.quantization}: ${formatCount(totals.tensors, "tensor")} in ${formatCount(totals.shards, "shard")}, ` +
      `${formatBytes(totals.nbytes)}, ${totals.bitsPerParameter.toFixed(3)} bits per parameter`,
    ...report.unused.map((name) => `unused: ${name}`),
    ...report.notices.map((notice) => `note: ${notice}`),
  ];
}
