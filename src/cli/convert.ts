import { type Command, Option } from "commander";
import type { ConversionReport } from "../report/conversion-report.ts";
import { type ChatFlags, chatOptionsOf, withChatOptions } from "./chat-options.ts";
import { type ConversionFlags, withConversionOptions, withPrinting } from "./conversion-options.ts";
import { byteSize, positiveInteger, shardRange } from "./option-types.ts";
import { runCommand } from "./run-command.ts";
import { formatBytes, formatSeconds } from "./units.ts";

interface ConvertFlags extends ConversionFlags, ChatFlags {
  readonly quantization: string;
  readonly output: string;
  readonly backend: string;
  readonly threads?: number;
  readonly maxMemory?: number;
  readonly force?: boolean;
  readonly fsync: boolean;
  readonly mmap: boolean;
  readonly legacyIndex: boolean;
  readonly manifest: boolean;
  readonly weightsOnly?: boolean;
  readonly onlyShards?: readonly [number, number];
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  $ mlc-convert ./Llama-3.2-1B-Instruct -q q4f16_1 -o ./Llama-3.2-1B-q4f16_1-MLC
  $ mlc-convert ./gemma-2-2b -q q0f16 -o out --threads 4 --json`;

/** Registers `convert`, the default command, and upstream's spelling of it. */
export function registerConvert(program: Command): void {
  const convert = program.command("convert <model>", { isDefault: true });
  withOptions(
    convert.description("convert a checkpoint, a folder or a model of the hub, for MLC-LLM and WebLLM"),
  )
    .requiredOption("-q, --quantization <name>", "quantization scheme, e.g. q4f16_1")
    .requiredOption("-o, --output <folder>", "folder for the result")
    .addHelpText("after", EXAMPLES)
    .action((model: string, flags: ConvertFlags) => run(model, flags));
  const upstream = program.command("convert_weight <config>");
  withOptions(upstream.description("the same, spelled as upstream spells it"))
    .requiredOption("--quantization <name>", "quantization scheme")
    .requiredOption("-o, --output <folder>", "folder for the result")
    .action((config: string, flags: ConvertFlags) => run(config, flags));
}

function withOptions(command: Command): Command {
  return withPrinting(withChatOptions(withConversionOptions(command)))
    .addOption(new Option("--device <name>", "where to compute").choices(["auto", "cpu"]).default("auto"))
    .option("--backend <name>", "kernels to use: auto, or one that `doctor` lists", "auto")
    .option("--threads <count>", "worker threads (default: all processors)", positiveInteger)
    .option("--max-memory <size>", "memory the process may take (default: 256M)", byteSize)
    .option(
      "--only-shards <first-last>",
      "make only these shards and leave them in the staging folder",
      shardRange,
    )
    .option("--force", "replace an output folder that holds something")
    .option("--no-fsync", "do not wait until the result is durable")
    .option("--no-mmap", "read source files in pieces instead of mapping them")
    .option("--weights-only", "write shards and index only: no chat config, tokenizer or provenance")
    .option("--no-manifest", "do not write mlc-convert.json")
    .option("--no-legacy-index", "do not write ndarray-cache.json for older runtimes");
}

function run(model: string, flags: ConvertFlags): Promise<void> {
  return runCommand(flags, async (printer, signal) => {
    const { convert } = await import("../convert.ts");
    const { fsync, mmap, ...request } = flags;
    const onEvent = printer.onEvent.bind(printer);
    const chat = chatOptionsOf(flags);
    const report = await convert({ model, ...request, chat, sync: fsync, map: mmap }, { onEvent, signal });
    printer.result(report, () => summary(report));
    return true;
  });
}

const GIB = 2 ** 30;

/** What a person wants to know at the end; the three statistics as upstream prints them. */
export function summary(report: ConversionReport): readonly string[] {
  const { nbytes, milliseconds, parameterBytes, parameters, unused } = report;
  const rate = formatBytes(nbytes / (milliseconds / 1000));
  return [
    `Parameter size after quantization: ${(parameterBytes / GIB).toFixed(3)} GB`,
    `Total parameters: ${parameters.toLocaleString("en-US")}`,
    `Bits per parameter: ${report.trueBitsPerParameter.toFixed(3)}`,
    ...(unused.length > 0 ? [`Unused source tensors: ${unused.length}`] : []),
    `${report.tensors} tensors in ${report.shards} shards, ${formatBytes(nbytes)}, ` +
      `${formatSeconds(milliseconds / 1000)} (${rate}/s) with ${report.backend} on ${report.threads} threads`,
    `Saved to ${report.output}`,
  ];
}
