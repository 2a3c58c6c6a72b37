import { resolve } from "node:path";
import { writeChatConfig } from "./chat-config/write-chat-config.ts";
import { type ChatOptions, makeChatFiles } from "./chat-files.ts";
import { type ConfigSourceRequest, openConfigSource } from "./config-source.ts";
import type { OpenDeps } from "./open-model.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";

export interface GenConfigRequest extends ConfigSourceRequest {
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
export async function genConfig(
  request: GenConfigRequest,
  deps: OpenDeps = { onEvent: () => {} },
): Promise<GenConfigResult> {
  const quantization = schemeOf(request.quantization).name;
  const { config, name, use } = await openConfigSource(request, deps);
  const { key, notices } = await detectArchitecture(config, request.modelType);
  const architecture = await architectureOf(key);
  const prepared = await use((folder) =>
    makeChatFiles({ architecture, config, folder, name, quantization }, request.chat ?? {}),
  );
  const output = resolve(request.output);
  await writeChatConfig(prepared, output);
  return {
    output,
    files: prepared.files.map((file) => file.name),
    template: prepared.template.conversation.name ?? "custom",
    notices: [...notices, ...prepared.notices],
  };
}
