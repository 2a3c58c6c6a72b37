import type { Command } from "commander";
import type { Advice, Assessment, RecommendationReport } from "../index.ts";
import { columns } from "./columns.ts";
import { withPrinting } from "./conversion-options.ts";
import { type MemoryFlags, withMemoryOptions } from "./memory-options.ts";
import { runCommand } from "./run-command.ts";
import { addSourceFlags, type SourceFlags, toSourceOptions } from "./source-flags.ts";
import { formatBytes } from "./units.ts";

interface RecommendFlags extends SourceFlags, MemoryFlags {
  readonly modelType?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Reads configs, headers and file lists only, no weights. Exit code 0: something fits. 1: nothing does.

Examples:
  $ mlc-convert recommend ./Llama-3.2-1B-Instruct
  $ mlc-convert recommend org/Model-GGUF --ram 16G --vram 8G --context 16384
  $ mlc-convert recommend ./Llama-3.1-8B-Instruct --ram 16G --vram 0 --json`;

/** Registers `recommend`. */
export function registerRecommend(program: Command): void {
  const command = program
    .command("recommend <model>")
    .description("which variant of a model fits a machine's memory, and with how long a context");
  withPrinting(withMemoryOptions(addSourceFlags(command)))
    .option("--model-type <key>", "architecture, where config.json does not name the right one")
    .addHelpText("after", EXAMPLES)
    .action((model: string, flags: RecommendFlags) =>
      runCommand(flags, async (printer, signal) => {
        const { recommend } = await import("../recommend.ts");
        const onEvent = printer.onEvent.bind(printer);
        const { ram, vram, context, modelType } = flags;
        const wishes = { ram, vram, context, modelType };
        const given = Object.fromEntries(Object.entries(wishes).filter(([, value]) => value !== undefined));
        const report = await recommend(
          { model, ...given, acquire: toSourceOptions(flags) },
          { onEvent, signal },
        );
        printer.result(report, () => linesOf(report));
        return report.advice.some(({ chosen }) => chosen !== undefined);
      }),
    );
}

function linesOf({ model, machine, advice, bestSource, notices }: RecommendationReport): readonly string[] {
  const { ram, vram, gpu } = machine;
  const graphics =
    vram === undefined ? "no GPU (give --vram for one)" : `GPU ${gpu ?? ""} ${formatBytes(vram)}`;
  return [
    `${model} on ${formatBytes(ram)} of memory, ${graphics.replace("  ", " ")}`,
    ...advice.flatMap(sectionOf),
    ...(bestSource === undefined ? [] : ["", `Best source for another conversion: ${bestSource}`]),
    ...notices.map((notice) => `note: ${notice}`),
  ];
}

const TITLES: Readonly<Record<Advice["kind"], string>> = {
  existing: "GGUF files that exist",
  gguf: "GGUF that can be made",
  mlc: "MLC that can be made",
};

function sectionOf(advice: Advice): readonly string[] {
  const { kind, engine, chosen, assessed, context, impossible } = advice;
  const rows = assessed.map((each) => rowOf(each, each === chosen));
  const head = [
    "",
    "variant",
    "weights",
    "cache",
    "buffers",
    "total",
    `at ${context} tokens`,
    "longest context",
  ];
  const verdict = chosen
    ? [`Take ${chosen.variant.name}: ${advice.sentence}.`, `Cache: ${advice.cacheProduct}.`]
    : ["Nothing fits: a smaller model or a shorter --context may."];
  return [
    "",
    `${TITLES[kind]}, for ${engine}:`,
    ...columns([head, ...rows]),
    ...impossible.map(({ quantization, reason }) => `${quantization} cannot be made: ${reason}`),
    ...verdict,
  ];
}

const PLACES: Readonly<Record<Assessment["placement"], string>> = {
  gpu: "on the GPU",
  split: "partly on the GPU",
  cpu: "in memory",
  none: "does not fit",
};

function rowOf(
  { variant, memory, placement, longestContext, gpuLayers }: Assessment,
  taken: boolean,
): string[] {
  const where = placement === "split" ? `${gpuLayers} layers on the GPU` : PLACES[placement];
  return [
    taken ? "*" : "",
    variant.name,
    formatBytes(memory.weights),
    formatBytes(memory.cache),
    formatBytes(memory.compute),
    formatBytes(memory.total),
    where,
    longestContext > 0 ? String(longestContext) : "none",
  ];
}
