import type { OpenedModel } from "./open-model.ts";
import type { SourceDeps } from "./source/deps.ts";
import type { SourceOptions } from "./source/options.ts";
import type { RemoteSource } from "./source/resolved.ts";

/** True where the chosen files are one GGUF model and nothing else. */
export const areGguf = (names: readonly string[]): boolean =>
  names.length > 0 && names.every((name) => name.endsWith(".gguf"));

/** What a GGUF model of the hub is, from its headers alone. */
export type RemoteGguf = Pick<OpenedModel, "config" | "checkpoint" | "ggufMetadata">;

/**
 * Reads the headers of a GGUF model that is still on the hub: some megabytes, most of them the vocabulary.
 * @throws {CheckpointError} `E_GGUF_…`
 * @throws {SourceError} for all trouble with the hub
 */
export async function openRemoteGguf(
  source: RemoteSource,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<RemoteGguf> {
  const [{ openRemoteFiles }, { openGgufFiles }] = await Promise.all([
    import("./source/remote-bytes.ts"),
    import("./checkpoint/gguf-model.ts"),
  ]);
  const { checkpoint, config, gguf } = await openGgufFiles(await openRemoteFiles(source, options, deps));
  return { checkpoint, config, ggufMetadata: gguf.metadata };
}
