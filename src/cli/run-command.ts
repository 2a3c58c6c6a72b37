import { exitCodeOf, INTERRUPTED } from "./exit-codes.ts";
import { createPrinter, type Printer, type PrinterOptions } from "./printer.ts";

/**
 * Runs a command's work: the only place that catches everything. Sets the exit code; Ctrl-C stops the work,
 * a second Ctrl-C ends the process.
 */
export async function runCommand(
  options: PrinterOptions,
  work: (printer: Printer, signal: AbortSignal) => Promise<boolean | undefined>,
): Promise<void> {
  const printer = createPrinter(options);
  const controller = new AbortController();
  // Stays registered after the first signal, for the second one.
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    const sound = await work(printer, controller.signal);
    if (sound === false) process.exitCode = 1;
  } catch (error) {
    printer.failure(error);
    process.exitCode = exitCodeOf(error);
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
  }
}
