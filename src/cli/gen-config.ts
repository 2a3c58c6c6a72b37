import type { Command } from "commander";
import { type ChatFlags, chatOptionsOf, withChatOptions } from "./chat-options.ts";
import { withPrinting } from "./conversion-options.ts";
import { runCommand } from "./run-command.ts";

interface GenConfigFlags extends ChatFlags {
  readonly quantization: string;
  readonly output: string;
  readonly modelType?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLE = `
Example:
  $ mlc-convert gen-config ./Llama-3.2-1B-Instruct -q q4f16_1 -o ./out --context-window-size 8192
  $ mlc-convert gen-config ./model-Q8_0.gguf -q q4f16_1 -o ./out`;

/** Registers `gen-config`, also as upstream spells it. */
export function registerGenConfig(program: Command): void {
  const command = program.command("gen-config <model>").alias("gen_config");
  withPrinting(
    withChatOptions(command.description("write mlc-chat-config.json and the tokenizer files, no weights")),
  )
    .requiredOption("-q, --quantization <name>", "quantization scheme, e.g. q4f16_1")
    .requiredOption("-o, --output <folder>", "folder for the result")
    .option("--model-type <key>", "architecture, where config.json does not name the right one")
    .addHelpText("after", EXAMPLE)
    .action((model: string, flags: GenConfigFlags) =>
      runCommand(flags, async (printer) => {
        const { genConfig } = await import("../index.ts");
        const { quantization, output, modelType } = flags;
        const chosen = modelType === undefined ? {} : { modelType };
        const result = await genConfig({
          model,
          quantization,
          output,
          ...chosen,
          chat: chatOptionsOf(flags),
        });
        for (const message of result.notices) printer.onEvent({ type: "notice", message });
        printer.result(result, () => [`${result.files.join(", ")} written to ${result.output}`]);
        return true;
      }),
    );
}
