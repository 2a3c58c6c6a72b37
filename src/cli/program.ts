import { Command } from "commander";
import { registerCache } from "./cache.ts";
import { registerConvert, registerConvertWeight } from "./convert.ts";
import { registerDemo } from "./demo.ts";
import { registerDoctor } from "./doctor.ts";
import { registerDownload } from "./download.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { registerGenConfig } from "./gen-config.ts";
import { registerModels } from "./models.ts";
import { registerPlan } from "./plan.ts";
import { createPrinter } from "./printer.ts";
import { registerRecommend } from "./recommend.ts";
import { registerVerify } from "./verify.ts";
import { registerWeb } from "./web.ts";

const USAGE_EXIT_CODE = 2;

const COMMANDS: ReadonlyMap<string, (program: Command) => void> = new Map([
  ["convert", registerConvert],
  ["convert_weight", registerConvertWeight],
  ["plan", registerPlan],
  ["recommend", registerRecommend],
  ["verify", registerVerify],
  ["download", registerDownload],
  ["cache", registerCache],
  ["gen-config", registerGenConfig],
  ["web", registerWeb],
  ["models", registerModels],
  ["doctor", registerDoctor],
  ["demo", registerDemo],
]);

/** Runs the command line of this process. */
export async function runProgram(version: string): Promise<void> {
  const program = new Command("mlc-convert")
    .description("Convert and quantize Hugging Face checkpoints for MLC-LLM and WebLLM.")
    .version(version)
    .showHelpAfterError("(run with --help for the options)")
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
    });
  // A command that is named is all that is needed: registering the others takes longer than reading its options.
  const named = COMMANDS.get(process.argv[2] ?? "");
  for (const register of named ? [named] : COMMANDS.values()) register(program);
  // A reader that has seen enough, such as `head`, closes the pipe: that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
  await program.parseAsync().catch((error: unknown) => {
    createPrinter({}).failure(error);
    process.exitCode = exitCodeOf(error);
  });
}
