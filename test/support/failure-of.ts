import { expect } from "vitest";
import { MlcConvertError } from "../../src/core/errors.ts";

/** The error that `work` fails with, which must be one of ours. */
export async function failureOf(work: () => unknown): Promise<MlcConvertError> {
  const error: unknown = await Promise.resolve()
    .then(work)
    .then(
      () => new Error("expected a failure, but it succeeded"),
      (reason: unknown) => reason,
    );
  if (!(error instanceof MlcConvertError)) throw error;
  expect(error.code).toMatch(/^E_[A-Z0-9_]+$/);
  return error;
}
