#!/usr/bin/env node
import { createRequire } from "node:module";

const { version } = createRequire(import.meta.url)("../../package.json") as { readonly version: string };
const [first, ...others] = process.argv.slice(2);

// Asked for often, by scripts and bug reports: answered before anything else is loaded.
if (others.length === 0 && (first === "--version" || first === "-V")) {
  process.stdout.write(`${version}\n`);
} else {
  // Without top-level await, which the published CommonJS does not know.
  import("./program.ts").then(({ runProgram }) => runProgram(version));
}
