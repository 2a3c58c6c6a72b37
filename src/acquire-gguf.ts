import type { NamedFile } from "./core/byte-source.ts";
import type { OpenedModel } from "./open-model.ts";

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
export async function openRemoteGguf(files: readonly NamedFile[]): Promise<RemoteGguf> {
  const { openGgufFiles } = await import("./checkpoint/gguf-model.ts");
  const { checkpoint, config, gguf } = await openGgufFiles(files);
  return { checkpoint, config, ggufMetadata: gguf.metadata };
}
