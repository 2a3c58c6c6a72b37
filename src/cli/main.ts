#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { registerConvert } from "./convert.ts";
import { registerDemo } from "./demo.ts";
import { registerDoctor } from "./doctor.ts";
import { registerPlan } from "./plan.ts";
import { registerVerify } from "./verify.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { readonly version: string };
const USAGE_EXIT_CODE = 2;

const program = new Command("mlc-convert")
  .description("Convert and quantize Hugging Face checkpoints for MLC-LLM and WebLLM.")
  .version(version)
  .showHelpAfterError("(run with --help for the options)")
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
  });

for (const register of [registerConvert, registerPlan, registerVerify, registerDoctor, registerDemo]) {
  register(program);
}

await program.parseAsync();
