import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { AcquireOptions } from "./acquire-model.ts";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import { isWeights } from "./checkpoint/locate-weights.ts";
import { openCheckpoint } from "./checkpoint/open-checkpoint.ts";
import { SourceError } from "./core/errors.ts";
import type { OnEvent } from "./core/events.ts";
import type { GgufMetadata } from "./core/gguf.ts";
import type { ListedFile } from "./core/gguf-files.ts";
import type { FileIntegrity } from "./core/integrity.ts";
import type { JsonObject } from "./core/json.ts";
import type { Checkpoint } from "./core/tensor-info.ts";
import { locateGguf, openGguf, type RequestedSource } from "./open-gguf.ts";
import { localPathNotices } from "./source/local-path.ts";

/** What to read, as the user named it. */
export interface ModelRequest {
  /**
   * Folder of config.json, the file itself, a GGUF file or a folder with one, or a model of the hub: `org/name`,
   * `HF://org/name`, an address.
   */
  readonly model: string;
  /** Weights that lie elsewhere: a folder, an index, or one weight file. */
  readonly source?: string;
  readonly sourceFormat?: RequestedSource;
  /** How a model of the hub is acquired. */
  readonly acquire?: AcquireOptions;
}

/** The outside world, as far as opening a model needs it. */
export interface OpenDeps {
  readonly onEvent: OnEvent;
  readonly signal?: AbortSignal | undefined;
}

/** Where a model came from. */
export interface Origin {
  /** `org/name`, or the folder. */
  readonly id: string;
  readonly commit: string | null;
  /** Files whose hashes were checked on the way. */
  readonly files: ReadonlyMap<string, FileIntegrity>;
}

/** A model whose configuration and tensor headers have been read. */
export interface OpenedModel {
  /** Folder of the tokenizer; absent while the files are still on the hub, and where metadata holds it. */
  readonly folder?: string;
  readonly config: JsonObject;
  readonly checkpoint: Checkpoint;
  readonly origin: Origin;
  /** Of a GGUF file; it holds the tokenizer too. */
  readonly ggufMetadata?: GgufMetadata;
  /** All files of the repository, where it was asked. */
  readonly listing?: readonly ListedFile[];
  /** Brings the files to this machine; absent where they are here. */
  readonly fetch?: (output: { readonly folder: string; readonly nbytes: number }) => Promise<OpenedModel>;
}

/**
 * Reads config.json and the headers of all weight files, on this machine or on the hub; no weights.
 *
 * @throws {SourceError} where there is no such model or no config.json
 * @throws {CheckpointError} for everything that is wrong with the files
 */
export async function openModel(request: ModelRequest, deps: OpenDeps): Promise<OpenedModel> {
  if (existsSync(request.model)) {
    for (const message of localPathNotices(request.model)) deps.onEvent({ type: "notice", message });
    return openLocalModel(request);
  }
  const { openHubModel } = await import("./acquire-model.ts");
  return openHubModel(request, deps, openLocalModel);
}

/** Opens a model whose files are on this machine. */
export async function openLocalModel(request: ModelRequest): Promise<OpenedModel> {
  const requested = request.sourceFormat ?? "auto";
  const place = resolve(request.source ?? request.model);
  const gguf = await locateGguf(place, requested, request.acquire?.ggufFile);
  const opened = gguf === undefined ? undefined : await openGguf(gguf);
  if (opened && request.source === undefined) return opened;
  const { folder, name } = await locateConfig(request.model);
  const files = await openConfigFolder(folder);
  const config = await files.readObject(name);
  if (!config) {
    const isConverted = existsSync(join(folder, "mlc-chat-config.json"));
    throw new SourceError("E_CONFIG_MISSING", `${folder}: expected config.json, found none`, {
      hint: isConverted
        ? "this model is converted already; name the checkpoint that it was made from"
        : "name the folder of a Hugging Face checkpoint",
    });
  }
  if (opened) return { ...opened, folder, config };
  const source = request.source === undefined ? folder : resolve(request.source);
  const checkpoint = await openCheckpoint(source, requested === "gguf" ? {} : { sourceFormat: requested });
  const notices = [...files.notices(), ...checkpoint.notices];
  const origin = { id: folder, commit: null, files: new Map() };
  return { folder, config, checkpoint: { ...checkpoint, notices }, origin };
}

/** @throws {SourceError} where a file of weights, or their index, is named in the place of config.json */
export function refuseWeightFile(path: string): void {
  if (!isWeights(path)) return;
  throw new SourceError("E_CONFIG_MISSING", `${path}: expected config.json or its folder, found weights`, {
    hint: "name the folder; --source takes the weights from this file alone",
  });
}

async function locateConfig(model: string): Promise<{ folder: string; name: string }> {
  const path = resolve(model);
  const found = await stat(path);
  if (found.isFile()) refuseWeightFile(path);
  return found.isDirectory()
    ? { folder: path, name: "config.json" }
    : { folder: dirname(path), name: basename(path) };
}
