import type { SourceDeps } from "./deps.ts";
import { openHub, type SourceOptions } from "./options.ts";
import { RangedFile } from "./ranged-file.ts";
import type { RemoteSource } from "./resolved.ts";

/**
 * The chosen files of a model on the hub, readable in ranges: what a plan needs before any weight is fetched.
 * Nothing is requested until something is read.
 * @throws {UsageError} E_ENDPOINT
 */
export async function openRemoteFiles(
  source: RemoteSource,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<readonly RangedFile[]> {
  const remote = { client: await openHub(options, deps), model: source.model, deps };
  return source.files.map((file) => new RangedFile(remote, file));
}
