import { CheckpointError, KernelError, MlcConvertError, OutputError } from "../core/errors.ts";
import { createJob, type JobOptions, type NativeJob } from "../native/addon.ts";

const HINTS: Readonly<Record<string, string>> = {
  E_DISK_FULL: "make room and run the same command again: it continues where it stopped",
  E_SOURCE_CHANGED: "the file changed since its header was read; run the command again",
  E_SOURCE_READ: "check the disk or network folder that holds the file, then run the same command again",
  E_DEVICE: "run the same command with --device cpu: it continues where it stopped",
};

/** An error of the addon as an error of this package; any other as it is. */
export function translated(error: unknown): unknown {
  if (error instanceof MlcConvertError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return error;
  const hint = HINTS[code];
  const details = hint === undefined ? { cause: error } : { cause: error, hint };
  if (code.startsWith("E_SOURCE")) return new CheckpointError(code, error.message, details);
  if (code === "E_DISK_FULL" || code.startsWith("E_OUTPUT"))
    return new OutputError(code, error.message, details);
  return new KernelError(code, error.message, details);
}

/**
 * Opens what a job reads.
 * @throws {CheckpointError} where a source cannot be read or is not as long as expected
 */
export function openJob(options: JobOptions): NativeJob {
  try {
    return createJob(options);
  } catch (error) {
    throw translated(error);
  }
}
