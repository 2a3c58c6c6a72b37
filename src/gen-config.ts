import { basename, resolve } from "node:path";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import { writeChatConfig } from "./chat-config/write-chat-config.ts";
import { type ChatOptions, makeChatFiles } from "./chat-files.ts";
import { SourceError } from "./core/errors.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";

export interface GenConfigRequest {
  /** Folder of config.json and the tokenizer. */
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
  const folder = resolve(request.model);
  const config = await (await openConfigFolder(folder)).readObject("config.json");
  if (!config) throw new SourceError("E_CONFIG_MISSING", `${folder}: expected config.json, found none`);
  const { key, notices } = await detectArchitecture(config, request.modelType);
  const architecture = await architectureOf(key);
  const quantization = schemeOf(request.quantization).name;
  const source = { architecture, config, folder, name: basename(folder), quantization };
  const prepared = await makeChatFiles(source, request.chat ?? {});
  const output = resolve(request.output);
  await writeChatConfig(prepared, output);
  return {
    output,
    files: prepared.files.map(({ name }) => name),
    template: prepared.template.conversation.name ?? "custom",
    notices: [...notices, ...prepared.notices],
  };
}
