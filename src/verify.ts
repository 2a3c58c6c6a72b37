import { cpus } from "node:os";
import { resolve } from "node:path";
import { budgetOf, DEFAULT_MAX_MEMORY } from "./execute/budget.ts";
import { hashFiles } from "./execute/hash-files.ts";
import { chooseBackend } from "./native/addon.ts";
import { type VerifyResult, verifyTensorCache } from "./tensor-cache/verify.ts";

export interface VerifyOptions {
  /** Name of a backend, or `auto`. */
  readonly backend?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/**
 * Checks a converted model: index, shards, sizes and hashes.
 * @returns what was checked and every fault that was found
 * @throws {OutputError} where there is no readable index
 */
export async function verify(folder: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  const settings = {
    backend: chooseBackend(options.backend ?? "auto"),
    budget: budgetOf(options.threads ?? cpus().length, DEFAULT_MAX_MEMORY),
    signal: options.signal,
  };
  return verifyTensorCache(resolve(folder), (paths) => hashFiles(paths, settings));
}
