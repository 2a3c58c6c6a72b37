#!/usr/bin/env node
import { createRequire } from "node:module";
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
import { registerVerify } from "./verify.ts";
import { registerWeb } from "./web.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { readonly version: string };
const USAGE_EXIT_CODE = 2;

const program = new Command("mlc-convert")
  .description("Convert and quantize Hugging Face checkpoints for MLC-LLM and WebLLM.")
  .version(version)
  .showHelpAfterError("(run with --help for the options)")
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
  });

const COMMANDS = [
  registerConvert,
  registerPlan,
  registerVerify,
  registerDownload,
  registerCache,
  registerGenConfig,
  registerWeb,
  registerModels,
  registerDoctor,
  registerDemo,
];
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
