import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import type { RequestedFormat } from "./checkpoint/locate-weights.ts";
import { openCheckpoint } from "./checkpoint/open-checkpoint.ts";
import { CheckpointError, SourceError } from "./core/errors.ts";
import type { JsonObject } from "./core/json.ts";
import type { Checkpoint } from "./core/tensor-info.ts";

/** What to read, as the user named it. */
export interface ModelRequest {
  /** Folder of config.json, or the file itself. */
  readonly model: string;
  /** Weights that lie elsewhere: a folder, an index, or one weight file. */
  readonly source?: string;
  readonly sourceFormat?: RequestedFormat;
}

/** A model whose configuration and tensor headers have been read. */
export interface OpenedModel {
  /** Folder of config.json and the tokenizer. */
  readonly folder: string;
  readonly config: JsonObject;
  readonly checkpoint: Checkpoint;
}

/**
 * Reads config.json and the headers of all weight files; no weights.
 *
 * @throws {SourceError} where there is no such folder or no config.json
 * @throws {CheckpointError} for everything that is wrong with the files
 */
export async function openModel(request: ModelRequest): Promise<OpenedModel> {
  const { folder, name } = await locateConfig(request.model);
  const config = await (await openConfigFolder(folder)).readObject(name);
  if (!config) {
    throw new SourceError("E_CONFIG_MISSING", `${folder}: expected config.json, found none`, {
      hint: "name the folder of a Hugging Face checkpoint",
    });
  }
  const source = request.source === undefined ? folder : resolve(request.source);
  const checkpoint = await openCheckpoint(source, { sourceFormat: request.sourceFormat ?? "auto" });
  if (checkpoint.tensors.size === 0) {
    throw new CheckpointError("E_NO_TENSORS", `${source}: the weight files hold no tensors`);
  }
  return { folder, config, checkpoint };
}

async function locateConfig(model: string): Promise<{ folder: string; name: string }> {
  const path = resolve(model);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return { folder: path, name: "config.json" };
  if (found?.isFile()) return { folder: dirname(path), name: basename(path) };
  throw new SourceError(
    "E_SOURCE_MISSING",
    `${path}: expected a model folder or a config.json, found nothing`,
    {
      hint: "name a folder that exists, or a model of the hub as org/name",
    },
  );
}
