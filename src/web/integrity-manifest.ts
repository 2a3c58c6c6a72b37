import { join } from "node:path";
import { CheckpointError } from "../core/errors.ts";
import type { FileIntegrity } from "../core/integrity.ts";
import { readFileIntegrity } from "../core/integrity.ts";
import type { ModelDirectory } from "./model-directory.ts";

/** WebLLM's `integrity` of a model record: it refuses files whose hash differs. */
export interface ModelIntegrity {
  readonly config: string;
  readonly tokenizer: Readonly<Record<string, string>>;
  readonly onFailure: "error";
}

/** Hashes of every file a browser will fetch. */
export interface IntegrityManifest {
  readonly version: 1;
  /** By name, in the order config, tokenizer, index, shards. */
  readonly files: Readonly<Record<string, FileIntegrity>>;
}

/**
 * Hashes config, tokenizer files, index and shards; reads each once.
 * @throws {CheckpointError} E_MODEL_DIRECTORY for a file that cannot be read
 */
export async function readIntegrityManifest(directory: ModelDirectory): Promise<IntegrityManifest> {
  const names = [
    "mlc-chat-config.json",
    ...directory.tokenizerNames,
    directory.indexName,
    ...directory.shardNames,
  ];
  const files: Record<string, FileIntegrity> = {};
  for (const name of new Set(names)) {
    const path = join(directory.path, name);
    files[name] = await readFileIntegrity(path).catch((cause: unknown) => {
      const message = `${path}: expected a file that can be read, because the model lists it`;
      throw new CheckpointError("E_MODEL_DIRECTORY", message, { cause });
    });
  }
  return { version: 1, files };
}

/** The part of a manifest that WebLLM checks by itself: the config and the tokenizer it loads. */
export function toModelIntegrity({ files }: IntegrityManifest): ModelIntegrity {
  const loaded = ["tokenizer.json", "tokenizer.model"].filter((name) => files[name] !== undefined);
  const tokenizer = Object.fromEntries(loaded.map((name) => [name, files[name]?.integrity ?? ""]));
  return { config: files["mlc-chat-config.json"]?.integrity ?? "", tokenizer, onFailure: "error" };
}
