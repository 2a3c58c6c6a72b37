import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { AcquireOptions } from "./acquire-model.ts";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import { writeChatConfig } from "./chat-config/write-chat-config.ts";
import { type ChatOptions, makeChatFiles } from "./chat-files.ts";
import { SourceError } from "./core/errors.ts";
import type { JsonObject } from "./core/json.ts";
import type { OpenDeps } from "./open-model.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";
import { readPreset } from "./presets.ts";

export interface GenConfigRequest {
  /** Folder of config.json and the tokenizer, the configuration file itself, a model of the hub, or a built-in configuration. */
  readonly model: string;
  /** How a model of the hub is acquired. */
  readonly acquire?: AcquireOptions;
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

/** The files that the chat config is made from. */
interface ConfigPlace {
  readonly folder: string;
  /** File name of the configuration. */
  readonly name: string;
  /** Repository or folder, for the rules that look at names. */
  readonly id: string;
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
  const preset = existsSync(request.model) ? undefined : await readPreset(request.model);
  if (preset) return generateFromPreset(preset, { ...request, quantization });
  const { folder, name, id } = await locate(request, deps);
  const config = await (await openConfigFolder(folder)).readObject(name);
  if (!config) throw new SourceError("E_CONFIG_MISSING", `${folder}: expected config.json, found none`);
  return generate({ folder, config, id }, { ...request, quantization });
}

/** A preset has neither tokenizer nor generation_config.json, so the folder it is looked up in is empty. */
async function generateFromPreset(config: JsonObject, request: GenConfigRequest): Promise<GenConfigResult> {
  const folder = await mkdtemp(join(tmpdir(), "mlc-convert-preset-"));
  try {
    return await generate({ folder, config, id: request.model }, request);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function generate(
  { folder, config, id }: Omit<ConfigPlace, "name"> & { readonly config: JsonObject },
  request: GenConfigRequest,
): Promise<GenConfigResult> {
  const { quantization } = request;
  const { key, notices } = await detectArchitecture(config, request.modelType);
  const architecture = await architectureOf(key);
  const source = { architecture, config, folder, name: basename(id), quantization };
  const prepared = await makeChatFiles(source, request.chat ?? {});
  const output = resolve(request.output);
  await writeChatConfig(prepared, output);
  return {
    output,
    files: prepared.files.map((file) => file.name),
    template: prepared.template.conversation.name ?? "custom",
    notices: [...notices, ...prepared.notices],
  };
}

/** A folder, a configuration file in it, or a model of the hub, of which all but the weights are fetched. */
async function locate({ model, acquire }: GenConfigRequest, deps: OpenDeps): Promise<ConfigPlace> {
  const path = resolve(model);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return { folder: dirname(path), name: basename(path), id: dirname(path) };
  if (found) return { folder: path, name: "config.json", id: path };
  const { acquireWithoutWeights } = await import("./acquire-model.ts");
  const { folder, source } = await acquireWithoutWeights(model, acquire ?? {}, deps);
  return { folder, name: "config.json", id: source };
}
