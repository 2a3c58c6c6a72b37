import { stat } from "node:fs/promises";
import path from "node:path";
import { listProblems, SourceError } from "../core/errors.ts";
import { decide } from "./cache-policy.ts";
import { chooseGguf } from "./choose-gguf.ts";
import { convertedFolder } from "./converted-cache.ts";
import {
  type ConvertedShard,
  convertedIndex,
  describeKinds,
  filterFiles,
  type ModelKind,
  missingNotices,
  parseRecords,
  parseShards,
  recognise,
  sideFiles,
  weightFiles,
} from "./file-choice.ts";
import { inspectFolder } from "./folder-state.ts";
import type { RemoteFile } from "./hub-client.ts";
import type { HubName } from "./model-name.ts";
import type { Settings, SourceOptions } from "./options.ts";
import { type RemoteModel, readRemoteFile } from "./read-remote.ts";
import type { RemoteSource } from "./resolved.ts";

export interface RemoteQuestion {
  readonly options: SourceOptions;
  readonly settings: Settings;
  readonly notices: readonly string[];
  readonly name: HubName;
}

interface Chosen {
  readonly names: readonly string[];
  readonly shards: readonly ConvertedShard[];
  readonly notices: readonly string[];
}

/**
 * Lists a commit's files and chooses the needed ones, reading nothing but the list and the index.
 * @throws {SourceError} E_MODEL_KIND, E_REPOSITORY_INCOMPLETE, E_INDEX, E_HUB_…
 */
export async function chooseRemote(remote: RemoteModel, question: RemoteQuestion): Promise<RemoteSource> {
  const allFiles = await remote.client.listFiles(remote.model);
  const byName = new Map(allFiles.map((file) => [file.path, file]));
  const names = new Set(byName.keys());
  const listed = allFiles.map(({ path: name, size }) => ({ name, size }));
  const { options } = question;
  const where = `${remote.model.repo} at ${remote.model.revision}`;
  const gguf = options.expect === "converted" ? undefined : chooseGguf(listed, options, where);
  const modelKind = gguf
    ? "checkpoint"
    : checkRepositoryKind(recognise(names), names, remote, options.expect);
  const chosen = await chooseFiles(remote, byName, { modelKind, gguf, options });
  const lacking = chosen.names.filter((name) => !byName.has(name));
  if (lacking.length > 0) {
    throw new SourceError(
      "E_REPOSITORY_INCOMPLETE",
      `${remote.model.repo} lists files that it does not have:\n${listProblems(lacking)}`,
      {
        hint: "The repository is broken or still being uploaded.",
      },
    );
  }
  const usual = options.skipWeights ? chosen.names.filter((name) => !isWeight(name, chosen)) : chosen.names;
  const files = filterFiles(names, usual, options).flatMap((name) => byName.get(name) ?? []);
  const missing = gguf ? [] : missingNotices(names);
  const notices = [...question.notices, ...chosen.notices, ...missing];
  const there = await whatIsThere(remote, question, { modelKind, files });
  return {
    kind: "remote",
    model: remote.model,
    modelKind,
    files,
    allFiles,
    shards: chosen.shards,
    notices,
    ...there,
  };
}

function chooseFiles(
  remote: RemoteModel,
  byName: ReadonlyMap<string, RemoteFile>,
  known: {
    readonly modelKind: ModelKind;
    readonly gguf: readonly string[] | undefined;
    readonly options: SourceOptions;
  },
): Chosen | Promise<Chosen> {
  const { modelKind, gguf, options } = known;
  if (gguf) return { names: gguf, shards: [], notices: [] };
  return modelKind === "converted"
    ? chooseConverted(remote, byName)
    : chooseCheckpoint(remote, byName, options);
}

function checkRepositoryKind(
  found: ModelKind | undefined,
  names: ReadonlySet<string>,
  { model }: RemoteModel,
  expected: ModelKind | undefined,
): ModelKind {
  const at = `${model.repo} at ${model.revision}`;
  if (found === undefined) {
    const has = [...names].slice(0, 10).join(", ") || "nothing";
    throw new SourceError(
      "E_MODEL_KIND",
      `${at} is no model that can be used: ${describeKinds()}; it has ${has}`,
    );
  }
  if (expected === undefined || expected === found) return found;
  const [is, need] =
    found === "converted" ? ["converted already", "a checkpoint"] : ["a checkpoint", "a converted model"];
  const hint =
    found === "converted"
      ? "Fetch it with `mlc-convert download`."
      : "Convert it with `mlc-convert convert`.";
  throw new SourceError("E_MODEL_KIND", `${at} is ${is}, but ${need} is needed`, { hint });
}

async function chooseCheckpoint(
  remote: RemoteModel,
  byName: ReadonlyMap<string, RemoteFile>,
  options: SourceOptions,
): Promise<Chosen> {
  const names = new Set(byName.keys());
  const weights = weightFiles(names, options.prefer ?? "safetensors");
  const side = sideFiles(names);
  const other = weightFiles(names, weights?.format === "torch" ? "safetensors" : "torch");
  const both = other !== undefined && other.format !== weights?.format;
  const notices = both ? [`The model has safetensors and PyTorch weights; ${weights?.format} is used.`] : [];
  const index = byName.get(weights?.index ?? "");
  if (!index)
    return {
      names: [...side, ...(weights?.single === undefined ? [] : [weights.single])],
      shards: [],
      notices,
    };
  const shards = parseShards((await readRemoteFile(remote, index)).toString("utf8"), index.path);
  return { names: [...side, index.path, ...shards], shards: [], notices };
}

/** Everything but shards that the index does not list. */
async function chooseConverted(
  remote: RemoteModel,
  byName: ReadonlyMap<string, RemoteFile>,
): Promise<Chosen> {
  const index = byName.get(convertedIndex(new Set(byName.keys())) ?? "");
  const shards = index
    ? parseRecords((await readRemoteFile(remote, index)).toString("utf8"), index.path)
    : [];
  const listed = shards.map((shard) => shard.name);
  const rest = [...byName.keys()].filter(
    (name) => !/^params_shard_\d+\.bin$/.test(name) && !name.startsWith("."),
  );
  return { names: [...new Set([...rest, ...listed])], shards, notices: [] };
}

function isWeight(name: string, { shards }: Chosen): boolean {
  return /\.(safetensors|bin|gguf)$/.test(name) || shards.some((shard) => shard.name === name);
}

/** What the writable cache holds of the chosen files, and what is to be done. */
async function whatIsThere(
  { model }: RemoteModel,
  { settings, name, options }: RemoteQuestion,
  chosen: { modelKind: ModelKind; files: readonly RemoteFile[] },
): Promise<Pick<RemoteSource, "present" | "decision">> {
  const folder =
    chosen.modelKind === "converted"
      ? convertedFolder(settings.converted, name)
      : settings.cache.snapshot(model.repo, model.commit);
  const { state } = await inspectFolder(folder);
  const decision = decide({
    policy: settings.policy,
    forceRedo: settings.forceRedo,
    readOnly: false,
    writable: state,
  });
  const settled = decision.use === "writable" ? ({ use: "download", repair: true } as const) : decision;
  const present = new Set<string>();
  if (settled.use === "replace") return { present, decision: settled };
  for (const file of chosen.files) {
    if (await isThere(folder, file, { settings, model, options })) present.add(file.path);
  }
  return { present, decision: settled };
}

async function isThere(
  folder: string,
  file: RemoteFile,
  { settings, model }: { settings: Settings; model: RemoteModel["model"]; options: SourceOptions },
): Promise<boolean> {
  const blob = file.sha256 ?? file.oid;
  const places = [
    path.join(folder, ...file.path.split("/")),
    path.join(settings.cache.blobs(model.repo), blob),
  ];
  if (settings.hfCache) places.push(path.join(settings.hfCache.blobs(model.repo), blob));
  for (const place of places) {
    if ((await stat(place).catch(() => undefined))?.size === file.size) return true;
  }
  return false;
}
