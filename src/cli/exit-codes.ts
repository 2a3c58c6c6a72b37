import {
  CheckpointError,
  KernelError,
  OutputError,
  PlanError,
  SourceError,
  UsageError,
} from "../core/errors.ts";

/** Exit code of every error class; documented in docs/errors.md. */
const CODES = [
  [UsageError, 2],
  [SourceError, 3],
  [CheckpointError, 4],
  [PlanError, 5],
  [KernelError, 6],
  [OutputError, 7],
] as const;

const INTERNAL = 1;
/** 128 + SIGINT, as shells expect. */
export const INTERRUPTED = 130;

/** The exit code for a failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Error && error.name === "AbortError") return INTERRUPTED;
  return CODES.find(([type]) => error instanceof type)?.[1] ?? INTERNAL;
}
