import { type Command, Option } from "commander";
import { byteSize, positiveInteger, wholeNumber } from "./option-types.ts";
import { addSourceFlags, type SourceFlags } from "./source-flags.ts";

/** Options of every command that plans a conversion. */
export interface ConversionFlags extends SourceFlags {
  readonly modelType?: string;
  readonly source?: string;
  readonly sourceFormat?: "auto" | "huggingface-safetensor" | "huggingface-torch" | "awq" | "gguf";
  readonly format: "mlc" | "gguf";
  readonly splitMaxSize?: number;
  readonly preTokenizer?: string;
  readonly ftArch?: number;
  readonly preshard?: number;
  readonly rank?: number;
}

const FORMATS = ["auto", "huggingface-safetensor", "huggingface-torch", "awq", "gguf"];

/** Adds the options that decide what is converted, and how it is read. */
export function withConversionOptions(command: Command): Command {
  return addSourceFlags(command)
    .option("--model-type <key>", "architecture, where config.json does not name the right one")
    .option("--source <path>", "weights that do not lie beside config.json: a folder, an index or a file")
    .addOption(new Option("--source-format <format>", "format of the weights").choices(FORMATS))
    .addOption(
      new Option("--format <name>", "what to make: a folder for MLC-LLM and WebLLM, or a GGUF file")
        .choices(["mlc", "gguf"])
        .default("mlc"),
    )
    .option("--split-max-size <size>", "GGUF: largest sum of tensors in one file, e.g. 2G", byteSize)
    .option("--pre-tokenizer <name>", "GGUF: the loader's name of the pre-tokenizer, e.g. llama-bpe")
    .option("--ft-arch <number>", "compute capability that q4f16_ft is laid out for", positiveInteger)
    .addOption(
      new Option("--preshard <workers>", "cut the weights for that many tensor-parallel workers")
        .argParser(positiveInteger)
        .env("MLC_INTERNAL_PRESHARD_NUM"),
    )
    .option(
      "--rank <worker>",
      "make only the part that this worker loads, counted from 0, and read only what it needs (with --preshard)",
      wholeNumber,
    );
}

/** Adds `--json` and `--quiet`. */
export function withPrinting(command: Command): Command {
  return command
    .option("--json", "print one JSON object a line, for programs")
    .option("--quiet", "print nothing but errors");
}
