/** What every error of this package carries besides its message. */
export interface ErrorDetails {
  /** What the user can do about it; one sentence, imperative. */
  readonly hint?: string;
  /** The lower-level error, if one was the reason. */
  readonly cause?: unknown;
}

/**
 * Base of all errors that are meant for people.
 *
 * `code` is stable and documented in docs/errors.md; `message` says what was expected, what was found, and where.
 */
export abstract class MlcConvertError extends Error {
  /** Stable identifier of the cause, for programs: `E_…`. */
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
  }
}

/** The command or the call is wrong. */
export class UsageError extends MlcConvertError {}
/** What the user named cannot be acquired. */
export class SourceError extends MlcConvertError {}
/** An input file is not what it should be. */
export class CheckpointError extends MlcConvertError {}
/** Configuration, tensors and scheme do not fit together. */
export class PlanError extends MlcConvertError {}
/** The addon, a backend or a device cannot do the work. */
export class KernelError extends MlcConvertError {}
/** The result cannot be written, or what was written is not sound. */
export class OutputError extends MlcConvertError {}

/** Joins the first ten problems of one kind and counts the rest (docs/errors.md, "Lists"). */
export function listProblems(problems: readonly string[]): string {
  const shown = problems.slice(0, 10).map((problem) => `  ${problem}`);
  const rest = problems.length - shown.length;
  return rest > 0 ? [...shown, `  … and ${rest} more`].join("\n") : shown.join("\n");
}
