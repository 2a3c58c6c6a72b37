import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { OutputError } from "../core/errors.ts";
import type { ConversionReport } from "../report/conversion-report.ts";
import { type TensorQuality, worstOf } from "../report/statistics.ts";
import { type ChatFlags, chatOptionsOf, withChatOptions } from "./chat-options.ts";
import { type ConversionFlags, withConversionOptions, withPrinting } from "./conversion-options.ts";
import { type MemoryFlags, withMemoryOptions } from "./memory-options.ts";
import { byteSize, collect, deviceName, positiveInteger, shardRange } from "./option-types.ts";
import { runCommand } from "./run-command.ts";
import { toSourceOptions, withoutSourceFlags } from "./source-flags.ts";
import { formatBytes, formatCount, formatSeconds, formatWhole } from "./units.ts";

interface ConvertFlags extends ConversionFlags, ChatFlags, MemoryFlags {
  readonly quantization: readonly string[];
  readonly output: string;
  readonly device: string;
  readonly backend: string;
  readonly threads?: number;
  readonly maxMemory?: number;
  readonly force?: boolean;
  readonly fsync: boolean;
  readonly mmap: boolean;
  readonly legacyIndex: boolean;
  readonly stats?: boolean;
  readonly report?: string;
  readonly manifest: boolean;
  readonly weightsOnly?: boolean;
  readonly onlyShards?: readonly [number, number];
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  $ mlc-convert ./Llama-3.2-1B-Instruct -q q4f16_1 -o ./Llama-3.2-1B-q4f16_1-MLC
  $ mlc-convert ./gemma-2-2b -q q0f16 -o out --threads 4 --json
  $ mlc-convert ./gemma-2-2b -q q4f16_1 -q q4f32_1 -o ./gemma-2-2b-{quantization}-MLC
  $ mlc-convert ./Llama-3.1-70B -q q4f16_1 --preshard 4 --rank 2 -o ./part-2
  $ mlc-convert ./Llama-3.2-1B-Instruct --format gguf -q Q4_K_M -o Llama-3.2-1B-Instruct-Q4_K_M.gguf
  $ mlc-convert ./Llama-3.2-1B-Instruct --format gguf -q auto --ram 8G -o ./out
  $ mlc-convert ./Llama-3.2-1B-Instruct-BF16.gguf -q q4f16_1 -o ./Llama-3.2-1B-q4f16_1-MLC`;

const SCHEME_HELP =
  "quantization scheme, e.g. q4f16_1, or with --format gguf e.g. Q4_K_M; auto for the best that fits the memory (see `recommend`); give it several times to read the source once for all";
const OUTPUT_HELP =
  "folder for the result, or the .gguf file itself; {quantization} in it stands for the scheme, " +
  "and several schemes without it go into folders of their names in it";

const DEVICE_HELP =
  "where to compute: cpu, cuda:N (GPU N, with the package mlc-convert-cuda), or auto: a GPU if one can be used";

/** Registers `convert`, the default command. */
export function registerConvert(program: Command): void {
  const convert = program.command("convert <model>", { isDefault: true });
  withOptions(
    convert.description(
      "convert a checkpoint, a folder, a GGUF file or a model of the hub, for MLC-LLM and WebLLM or to GGUF",
    ),
  )
    .requiredOption("-q, --quantization <name>", SCHEME_HELP, collect)
    .requiredOption("-o, --output <folder>", OUTPUT_HELP)
    .addHelpText("after", EXAMPLES)
    .action((model: string, flags: ConvertFlags) => run(model, flags));
}

/** Registers upstream's spelling of `convert`. */
export function registerConvertWeight(program: Command): void {
  const upstream = program.command("convert_weight <config>");
  withOptions(upstream.description("the same, spelled as upstream spells it"))
    .requiredOption("--quantization <name>", "quantization scheme", collect)
    .requiredOption("-o, --output <folder>", OUTPUT_HELP)
    .action((config: string, flags: ConvertFlags) => run(config, flags));
}

function withOptions(command: Command): Command {
  return withPrinting(withChatOptions(withMemoryOptions(withConversionOptions(command))))
    .option("--device <name>", DEVICE_HELP, deviceName, "cpu")
    .option("--backend <name>", "kernels to use: auto, or one that `doctor` lists", "auto")
    .option(
      "--threads <count>",
      "worker threads (default: one a processor, as far as memory goes)",
      positiveInteger,
    )
    .option("--max-memory <size>", "memory the process may take (default: 256M)", byteSize)
    .option(
      "--only-shards <range>",
      "make only these shards, e.g. 0-3 or 5, and leave them in the staging folder",
      shardRange,
    )
    .option("--stats", "measure in the same pass what every tensor loses, and show the worst")
    .option("--report <file>", "write the whole report as JSON, with --stats every tensor's loss")
    .option("--force", "replace an output folder that holds something")
    .option("--no-fsync", "do not wait until the result is durable")
    .option("--no-mmap", "read source files in pieces instead of mapping them")
    .option("--weights-only", "write shards and index only: no chat config, tokenizer or provenance")
    .option("--no-manifest", "do not write mlc-convert.json")
    .option("--no-legacy-index", "do not write ndarray-cache.json for older runtimes");
}

function run(model: string, flags: ConvertFlags): Promise<void> {
  return runCommand(flags, async (printer, signal) => {
    const { convertMany } = await import("../convert.ts");
    const { fsync, mmap, quantization, report: reportFile, ...request } = withoutSourceFlags(flags);
    const onEvent = printer.onEvent.bind(printer);
    const chat = chatOptionsOf(flags);
    const reports = await convertMany(
      {
        model,
        ...request,
        chat,
        acquire: toSourceOptions(flags),
        quantizations: quantization,
        sync: fsync,
        map: mmap,
      },
      { onEvent, signal },
    );
    const [report] = reports;
    const data = report && reports.length === 1 ? report : { conversions: reports };
    if (reportFile !== undefined) await writeReport(reportFile, data);
    printer.result(data, () => reports.flatMap(summary));
    return true;
  });
}

async function writeReport(file: string, data: object): Promise<void> {
  await writeFile(file, `${JSON.stringify(data, undefined, 2)}\n`).catch((cause: unknown) => {
    throw new OutputError(
      "E_OUTPUT_WRITE",
      `${file}: the report cannot be written: ${(cause as Error).message}`,
      {
        cause,
        hint: "the conversion itself is complete",
      },
    );
  });
}

const WORST_SHOWN = 5;

/** The tensors that lost most, and what could not be kept at all. */
function losses({ statistics }: ConversionReport): readonly string[] {
  if (!statistics) return [];
  const decibels = (value: number | null): string => (value === null ? "lossless" : `${value.toFixed(1)} dB`);
  const sum = (count: (row: TensorQuality) => number): string =>
    formatWhole(statistics.reduce((total, row) => total + count(row), 0));
  return [
    "Lowest signal-to-noise:",
    ...worstOf(statistics, WORST_SHOWN).map(
      ({ tensor, signalToNoiseDb, maxError, rmsError }) =>
        `  ${decibels(signalToNoiseDb)}  ${tensor}  largest error ${maxError.toPrecision(3)}, RMS ${rmsError.toPrecision(3)}`,
    ),
    `Zero groups: ${sum((row) => row.zeroGroups)}, infinite scales: ${sum((row) => row.infiniteScales)}, ` +
      `non-finite values: ${sum((row) => row.nonFinite)}, overflowed values: ${sum((row) => row.overflowed)}`,
  ];
}

const GIB = 2 ** 30;

/** What a person wants to know at the end; the three statistics as upstream prints them. */
export function summary(report: ConversionReport): readonly string[] {
  const { nbytes, milliseconds, parameterBytes, parameters, unused } = report;
  const rate = formatBytes(nbytes / (milliseconds / 1000));
  return [
    `Parameter size after quantization: ${(parameterBytes / GIB).toFixed(3)} GB`,
    `Total parameters: ${formatWhole(parameters)}`,
    `Bits per parameter: ${report.trueBitsPerParameter.toFixed(3)}`,
    ...losses(report),
    ...(unused.length > 0 ? [`Unused source tensors: ${unused.length}`] : []),
    `${formatCount(report.tensors, "tensor")} in ${shardsOf(report)}, ${formatBytes(nbytes)}, ` +
      `${formatSeconds(milliseconds / 1000)} (${rate}/s) with ${report.backend} on ${formatCount(report.threads, "thread")}`,
    ...whereabouts(report),
  ];
}

function shardsOf({ shards, shardsInAll }: ConversionReport): string {
  const all = formatCount(shardsInAll, "shard");
  return shards === shardsInAll ? all : `${shards} of ${all}`;
}

function whereabouts({ output, complete }: ConversionReport): readonly string[] {
  if (complete) return [`Saved to ${output}`];
  return [`Left in ${output}`, "The same command without --only-shards completes the result"];
}
