import { Command } from "commander";
import { registerCache } from "./cache.ts";
import { registerConvert } from "./convert.ts";
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

const COMMANDS: readonly ((program: Command) => void)[] = [
  registerConvert,
  registerPlan,
  registerRecommend,
  registerVerify,
  registerDownload,
  registerCache,
  registerGenConfig,
  registerWeb,
  registerModels,
  registerDoctor,
  registerDemo,
];

/** Runs the command line of this process. */
export async function runProgram(version: string): Promise<void> {
  const program = new Command("mlc-convert")
    .description("Convert and quantize Hugging Face checkpoints for MLC-LLM and WebLLM.")
    .version(version)
    .showHelpAfterError("(run with --help for the options)")
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
    });
  for (const register of COMMANDS) register(program);
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
