import { createRequire } from "node:module";
import type { SingleBar } from "cli-progress";
import { MlcConvertError } from "../core/errors.ts";
import type { ConvertEvent } from "../core/events.ts";
import { formatBytes, formatSeconds } from "./units.ts";

/**
 * Whether what goes to stderr is coloured: on a terminal that can, or where the environment insists. The library's own
 * answer is about stdout, and always yes on Windows and in CI.
 */
function isColoured({ stderr, env }: NodeJS.Process): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== "0";
  // Absent, whatever its type says, where it is no terminal.
  return Boolean(stderr.isTTY) && stderr.hasColors();
}

/** Loaded only for people: programs read no colours. */
function coloursOf(process: NodeJS.Process): ReturnType<typeof import("picocolors").createColors> {
  const library = createRequire(import.meta.url)("picocolors") as typeof import("picocolors");
  return library.createColors(isColoured(process));
}

/** How a command talks: to a person, or one JSON object a line to a program. */
export interface Printer {
  onEvent(event: ConvertEvent): void;
  /** The result: data for a program, or lines for a person. */
  result(data: object, lines: () => readonly string[]): void;
  failure(error: unknown): void;
}

export interface PrinterOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** A progress bar; the library is only loaded when there is something to show. */
function newBar(options: ConstructorParameters<typeof SingleBar>[0]): SingleBar {
  const library = createRequire(import.meta.url)("cli-progress") as typeof import("cli-progress");
  return new library.SingleBar(options);
}

/** The printer that the options ask for. */
export function createPrinter(options: PrinterOptions): Printer {
  return options.json ? new JsonPrinter() : new TextPrinter(options.quiet ?? false);
}

const emit = (object: object): boolean => process.stdout.write(`${JSON.stringify(object)}\n`);

/** What an error says; Ctrl-C's own message would not say what is left. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name !== "AbortError") return error.message;
  return "interrupted; the same command continues a conversion or a download where it stopped";
}

/** An error as data. */
function errorFacts(error: unknown): object {
  const message = messageOf(error);
  if (error instanceof MlcConvertError) {
    return { class: error.name, code: error.code, message, ...(error.hint ? { hint: error.hint } : {}) };
  }
  return { class: error instanceof Error ? error.name : "Error", message };
}

class JsonPrinter implements Printer {
  onEvent(event: ConvertEvent): void {
    emit(event);
  }
  result(data: object): void {
    emit({ type: "result", ...data });
  }
  failure(error: unknown): void {
    emit({ type: "error", error: errorFacts(error) });
  }
}

const PHASES: Readonly<Partial<Record<string, string>>> = {
  resolve: "Finding the model",
  download: "Downloading",
  plan: "Planning from config.json and tensor headers",
  convert: "Converting",
  "write-index": "Writing the index",
  verify: "Verifying",
};

type DownloadTotal = Extract<ConvertEvent, { type: "download-total" }>;

function retryLine({ what, reason, waitMs }: Extract<ConvertEvent, { type: "retry" }>): string {
  return `${what}: ${reason}; trying again in ${Math.ceil(waitMs / 1000)} s`;
}

class TextPrinter implements Printer {
  private bar: SingleBar | undefined;
  private started = 0;
  /** Of the download, as it was last told. */
  private tenth = -1;
  private readonly quiet: boolean;
  private readonly colours = coloursOf(process);

  constructor(quiet: boolean) {
    this.quiet = quiet;
  }

  onEvent(event: ConvertEvent): void {
    if (event.type === "notice") this.say(`${this.colours.yellow("note")} ${event.message}`);
    if (event.type === "phase") this.phase(PHASES[event.phase]);
    if (event.type === "progress") this.progress(event.bytes, event.totalBytes);
    if (event.type === "download-total") this.download(event);
    if (event.type === "retry") this.say(this.colours.dim(retryLine(event)));
  }

  result(_data: object, lines: () => readonly string[]): void {
    this.stopBar();
    if (!this.quiet) for (const line of lines()) process.stdout.write(`${line}\n`);
  }

  failure(error: unknown): void {
    this.stopBar();
    const known = error instanceof MlcConvertError;
    process.stderr.write(
      `${this.colours.red("error")} ${messageOf(error)}${known ? this.colours.dim(` [${error.code}]`) : ""}\n`,
    );
    if (known && error.hint) process.stderr.write(`${this.colours.cyan("hint")}  ${error.hint}\n`);
  }

  private say(line: string): void {
    this.stopBar();
    if (!this.quiet) process.stderr.write(`${line}\n`);
  }

  private phase(title: string | undefined): void {
    this.stopBar();
    if (title) this.say(this.colours.dim(title));
  }

  /** The bar where there is a terminal, and else a line for every tenth. */
  private download({ bytes, totalBytes, files, totalFiles }: DownloadTotal): void {
    if (process.stderr.isTTY) this.progress(bytes, totalBytes);
    const tenth = totalBytes === 0 ? 10 : Math.floor((bytes / totalBytes) * 10);
    if (process.stderr.isTTY || tenth === this.tenth) return;
    this.tenth = tenth;
    this.say(`${formatBytes(bytes)} of ${formatBytes(totalBytes)}, ${files} of ${totalFiles} files`);
  }

  private progress(bytes: number, total: number): void {
    if (this.quiet || !process.stderr.isTTY || total === 0) return;
    if (!this.bar) {
      this.started = performance.now();
      this.bar = newBar({
        format: "{bar} {percentage}%  {done} of {all}  {rate}/s  {left} left",
        hideCursor: true,
        clearOnComplete: true,
        stream: process.stderr,
      });
      this.bar.start(total, bytes, this.facts(bytes, total));
    }
    this.bar.update(bytes, this.facts(bytes, total));
  }

  private facts(bytes: number, total: number): object {
    const seconds = Math.max((performance.now() - this.started) / 1000, 0.001);
    const rate = bytes / seconds;
    const left = rate > 0 ? formatSeconds((total - bytes) / rate) : "?";
    return { done: formatBytes(bytes), all: formatBytes(total), rate: formatBytes(rate), left };
  }

  private stopBar(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
