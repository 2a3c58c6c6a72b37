import type { Command } from "commander";
import { type ChatFlags, chatOptionsOf, withChatOptions } from "./chat-options.ts";
import { withPrinting } from "./conversion-options.ts";
import { runCommand } from "./run-command.ts";
import { addSourceFlags, type SourceFlags, toSourceOptions } from "./source-flags.ts";

interface GenConfigFlags extends ChatFlags, SourceFlags {
  readonly quantization: string;
  readonly output: string;
  readonly modelType?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLE = `
Example:
  $ mlc-convert gen-config ./Llama-3.2-1B-Instruct -q q4f16_1 -o ./out --context-window-size 8192
  $ mlc-convert gen-config meta-llama/Llama-3.2-1B-Instruct -q q4f16_1 -o ./out
  $ mlc-convert gen-config ./model-Q8_0.gguf -q q4f16_1 -o ./out`;

/** Registers `gen-config`, also as upstream spells it. */
export function registerGenConfig(program: Command): void {
  const command = program.command("gen-config <model>").alias("gen_config");
  const described = command.description("write mlc-chat-config.json and the tokenizer files, no weights");
  withPrinting(withChatOptions(addSourceFlags(described)))
    .requiredOption("-q, --quantization <name>", "quantization scheme, e.g. q4f16_1")
    .requiredOption("-o, --output <folder>", "folder for the result")
    .option("--model-type <key>", "architecture, where config.json does not name the right one")
    .addHelpText("after", EXAMPLE)
    .action((model: string, flags: GenConfigFlags) =>
      runCommand(flags, async (printer, signal) => {
        const { genConfig } = await import("../gen-config.ts");
        const { quantization, output, modelType } = flags;
        const chosen = modelType === undefined ? {} : { modelType };
        const request = { model, quantization, output, ...chosen, acquire: toSourceOptions(flags) };
        const onEvent = printer.onEvent.bind(printer);
        const result = await genConfig({ ...request, chat: chatOptionsOf(flags) }, { onEvent, signal });
        for (const message of result.notices) printer.onEvent({ type: "notice", message });
        printer.result(result, () => [`${result.files.join(", ")} written to ${result.output}`]);
        return true;
      }),
    );
}
