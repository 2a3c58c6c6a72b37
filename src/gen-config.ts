import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import type { PreparedChatConfig } from "./chat-config/prepare-chat-config.ts";
import { writeChatConfig } from "./chat-config/write-chat-config.ts";
import { type ChatOptions, makeChatFiles } from "./chat-files.ts";
import { SourceError } from "./core/errors.ts";
import type { JsonObject } from "./core/json.ts";
import { locateGguf, openGguf } from "./open-gguf.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";
import { withRebuiltFiles } from "./rebuilt-tokenizer.ts";

export interface GenConfigRequest {
  /** Folder of config.json and the tokenizer, or a GGUF file, which holds both. */
  readonly model: string;
  readonly quantization: string;
  /** Folder that the files are put into. */
  readonly output: string;
  readonly modelType?: string;
  readonly chat?: ChatOptions;
}

export interface GenConfigResult {
  readonly output: string;
  /** Names of the files that were written. */
  readonly files: readonly string[];
  readonly template: string;
  readonly notices: readonly string[];
}

/**
 * Writes mlc-chat-config.json and the tokenizer files of a model, without weights.
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function genConfig(request: GenConfigRequest): Promise<GenConfigResult> {
  const quantization = schemeOf(request.quantization).name;
  const { config, name, use } = await openSource(resolve(request.model));
  const { key, notices } = await detectArchitecture(config, request.modelType);
  const architecture = await architectureOf(key);
  const prepared = await use((folder) =>
    makeChatFiles({ architecture, config, folder, name, quantization }, request.chat ?? {}),
  );
  const output = resolve(request.output);
  await writeChatConfig(prepared, output);
  return {
    output,
    files: prepared.files.map(({ name }) => name),
    template: prepared.template.conversation.name ?? "custom",
    notices: [...notices, ...prepared.notices],
  };
}

interface ConfigSource {
  readonly config: JsonObject;
  readonly name: string;
  /** Gives `make` a folder with config.json and the tokenizer. */
  readonly use: (make: (folder: string) => Promise<PreparedChatConfig>) => Promise<PreparedChatConfig>;
}

async function openSource(path: string): Promise<ConfigSource> {
  const file = existsSync(join(path, "config.json")) ? undefined : await locateGguf(path, "auto");
  if (file !== undefined) return openGgufSource(file);
  const config = await (await openConfigFolder(path)).readObject("config.json");
  if (!config) throw new SourceError("E_CONFIG_MISSING", `${path}: expected config.json, found none`);
  return { config, name: basename(path), use: (make) => make(path) };
}

async function openGgufSource(file: string): Promise<ConfigSource> {
  const { config, folder, origin, ggufMetadata } = await openGguf(file);
  const name = basename(origin.id);
  return {
    config,
    name,
    use: (make) =>
      folder === undefined && ggufMetadata
        ? withRebuiltFiles({ config, metadata: ggufMetadata }, make)
        : make(folder ?? dirname(file)),
  };
}
