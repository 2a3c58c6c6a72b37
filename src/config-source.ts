import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { AcquireOptions } from "./acquire-model.ts";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import type { PreparedChatConfig } from "./chat-config/prepare-chat-config.ts";
import { SourceError } from "./core/errors.ts";
import type { JsonObject } from "./core/json.ts";
import { locateGguf, openGguf } from "./open-gguf.ts";
import { type OpenDeps, refuseWeightFile } from "./open-model.ts";
import { readPreset } from "./presets.ts";
import { withRebuiltFiles } from "./rebuilt-tokenizer.ts";
import { localPathNotices } from "./source/local-path.ts";

/** A model without its weights: what its chat config is made from. */
export interface ConfigSource {
  readonly config: JsonObject;
  /** What the model is called. */
  readonly name: string;
  /** Gives `make` a folder with the configuration and the tokenizer. */
  readonly use: (make: (folder: string) => Promise<PreparedChatConfig>) => Promise<PreparedChatConfig>;
}

/** What names the model, and how one of the hub is acquired. */
export interface ConfigSourceRequest {
  /**
   * Folder of config.json and the tokenizer, the configuration file itself, a GGUF file, which holds both, a model of
   * the hub, or a built-in configuration.
   */
  readonly model: string;
  readonly acquire?: AcquireOptions;
}

/**
 * Opens whatever a configuration can be had from.
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function openConfigSource(request: ConfigSourceRequest, deps: OpenDeps): Promise<ConfigSource> {
  const { model } = request;
  const path = resolve(model);
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    const preset = await readPreset(model);
    return preset ? presetSource(model, preset) : hubSource(request, deps);
  }
  for (const message of localPathNotices(model)) deps.onEvent({ type: "notice", message });
  const file = existsSync(join(path, "config.json")) ? undefined : await locateGguf(path, "auto");
  if (file !== undefined) return ggufSource(file);
  if (!found.isFile()) return folderSource(path, { config: "config.json", id: path });
  refuseWeightFile(path);
  return folderSource(dirname(path), { config: basename(path), id: dirname(path) });
}

async function folderSource(
  folder: string,
  { config: file, id }: { readonly config: string; readonly id: string },
): Promise<ConfigSource> {
  const config = await (await openConfigFolder(folder)).readObject(file);
  if (!config) throw new SourceError("E_CONFIG_MISSING", `${folder}: expected ${file}, found none`);
  return { config, name: basename(id), use: (make) => make(folder) };
}

async function ggufSource(file: string): Promise<ConfigSource> {
  const { config, folder, origin, ggufMetadata } = await openGguf(file);
  return {
    config,
    name: basename(origin.id),
    use: (make) =>
      folder === undefined && ggufMetadata
        ? withRebuiltFiles({ config, metadata: ggufMetadata }, make)
        : make(folder ?? dirname(file)),
  };
}

/** Of a model of the hub all but the weights is fetched. */
async function hubSource({ model, acquire }: ConfigSourceRequest, deps: OpenDeps): Promise<ConfigSource> {
  const { acquireWithoutWeights } = await import("./acquire-model.ts");
  const { folder, source } = await acquireWithoutWeights(model, acquire ?? {}, deps);
  return folderSource(folder, { config: "config.json", id: source });
}

/** A preset has neither tokenizer nor generation_config.json, so the folder it is looked up in is empty. */
function presetSource(name: string, config: JsonObject): ConfigSource {
  return {
    config,
    name,
    use: async (make) => {
      const folder = await mkdtemp(join(tmpdir(), "mlc-convert-preset-"));
      try {
        return await make(folder);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}
