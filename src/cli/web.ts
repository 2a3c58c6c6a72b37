import type { Command } from "commander";
import { withPrinting } from "./conversion-options.ts";
import { positiveInteger } from "./option-types.ts";
import { runCommand } from "./run-command.ts";

interface WebFlags {
  readonly url?: string;
  readonly modelId?: string;
  readonly modelLib?: string;
  readonly contextWindowSize?: number;
  readonly write?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface ServeFlags {
  readonly port?: number;
  readonly host?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const WEB_EXAMPLE = `
Example:
  $ mlc-convert web ./out --url https://example.org/models/out/ --write app-config.json`;

/** Registers `web` and `serve`. */
export function registerWeb(program: Command): void {
  withPrinting(
    program.command("web <folder>").description("print what WebLLM needs to run a converted model"),
  )
    .option("--url <address>", "where the folder will be served (default: its own place on disk)")
    .option("--model-id <name>", "name in the model list (default: the folder's name)")
    .option("--model-lib <address>", "a library of your own")
    .option("--context-window-size <tokens>", "largest context window wanted", positiveInteger)
    .option("--write <file>", "write the entry, the hashes and the headers to this file as JSON")
    .addHelpText("after", WEB_EXAMPLE)
    .action((folder: string, flags: WebFlags) => runCommand(flags, (printer) => web(folder, flags, printer)));
  withPrinting(
    program.command("serve <folder>").description("serve a converted model with a page that checks it"),
  )
    .option("--port <number>", "port (default: any free one)", positiveInteger)
    .option("--host <name>", "address to listen on (default: this machine only)")
    .action((folder: string, flags: ServeFlags) =>
      runCommand(flags, (printer, signal) => serve(folder, { flags, printer, signal })),
    );
}

type Printer = Parameters<Parameters<typeof runCommand>[1]>[0];

async function web(folder: string, flags: WebFlags, printer: Printer): Promise<boolean> {
  const { webApp } = await import("../web-app.ts");
  const { pathToFileURL } = await import("node:url");
  const { url, modelId, modelLib, contextWindowSize, write } = flags;
  const app = await webApp({
    folder,
    modelUrl: url ?? pathToFileURL(folder).href,
    ...(modelId === undefined ? {} : { modelId }),
    ...(modelLib === undefined ? {} : { modelLib }),
    ...(contextWindowSize === undefined ? {} : { contextWindowSize }),
  });
  const text = JSON.stringify({ model_list: app.record ? [app.record] : [] }, null, 2);
  if (write !== undefined) {
    const { writeFile } = await import("node:fs/promises");
    await writeFile(write, `${JSON.stringify(app, null, 2)}\n`);
  }
  printer.result(app, () => [
    text,
    ...app.notices.map((notice) => `note: ${notice}`),
    "A static host must send:",
    ...app.headers.map(({ name, value, why }) => `  ${name}: ${value}  (${why})`),
    ...app.rules.map((rule) => `  ${rule}`),
  ]);
  return app.record !== undefined;
}

interface Serving {
  readonly flags: ServeFlags;
  readonly printer: Printer;
  readonly signal: AbortSignal;
}

async function serve(folder: string, { flags, printer, signal }: Serving): Promise<boolean> {
  const { serveDirectory } = await import("../index.ts");
  const { port, host } = flags;
  const served = await serveDirectory(folder, {
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
  });
  printer.result({ url: served.url }, () => [`Serving ${folder} at ${served.url} (Ctrl-C ends)`]);
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await served.close();
  return true;
}
