import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { areGguf, openRemoteGguf } from "./acquire-gguf.ts";
import { openRemoteCheckpoint } from "./checkpoint/open-checkpoint.ts";
import type { NamedFile } from "./core/byte-source.ts";
import { CheckpointError, SourceError } from "./core/errors.ts";
import type { FileIntegrity } from "./core/integrity.ts";
import { isObject, parseJson } from "./core/json.ts";
import { VERSION } from "./core/package-root.ts";
import type { ModelRequest, OpenDeps, OpenedModel } from "./open-model.ts";
import { presetNames } from "./presets.ts";
import type { AcquiredModel } from "./source/acquire.ts";
import type { SourceDeps } from "./source/deps.ts";
import type { SourceOptions } from "./source/options.ts";
import type { RemoteSource } from "./source/resolved.ts";

/** How a model of the hub is acquired; all optional. */
export type AcquireOptions = Omit<SourceOptions, "expect" | "output">;

type OpenLocal = (request: ModelRequest) => Promise<OpenedModel>;

/** The world that acquisition sees, taken from this process. */
export async function sourceDeps(deps: OpenDeps): Promise<{ deps: SourceDeps; close: () => Promise<void> }> {
  const { openHttp } = await import("./source/http.ts");
  const { http, close } = openHttp({ env: process.env, userAgent: `mlc-convert/${VERSION}` });
  const { onEvent, signal } = deps;
  return {
    close,
    deps: {
      http,
      env: process.env,
      home: homedir(),
      platform: process.platform,
      onEvent,
      now: Date.now,
      ...(signal ? { signal } : {}),
    },
  };
}

/**
 * Finds a model of the hub or of a cache. What is not on this machine yet is opened from its headers alone.
 * @throws {SourceError} for names that are no model, and for all trouble with the hub
 */
export async function openHubModel(
  request: ModelRequest,
  deps: OpenDeps,
  openLocal: OpenLocal,
): Promise<OpenedModel> {
  const { resolveSource } = await import("./source/resolve-source.ts");
  const world = await sourceDeps(deps);
  deps.onEvent({ type: "phase", phase: "resolve" });
  try {
    const options = { ...optionsOf(request), presets: await presetNames() };
    const source = await resolveSource(request.model, options, world.deps);
    for (const message of source.notices) deps.onEvent({ type: "notice", message });
    if (source.kind === "remote") return await openRemote({ request, options, source, openLocal, deps });
    const { acquire } = await import("./source/acquire.ts");
    const opened = await openAcquired(await acquire(source, options, world.deps), request, openLocal);
    const listing = source.kind === "cached" ? source.listing : undefined;
    return listing ? { ...opened, listing } : opened;
  } finally {
    await world.close();
  }
}

/**
 * Brings a model's configuration and tokenizer here, without its weights.
 * @returns the folder they lie in
 * @throws {SourceError} for names that are no model, and for all trouble with the hub
 */
export async function acquireWithoutWeights(
  model: string,
  acquireOptions: AcquireOptions,
  deps: OpenDeps,
): Promise<AcquiredModel> {
  const [{ resolveSource }, { acquire }] = await Promise.all([
    import("./source/resolve-source.ts"),
    import("./source/acquire.ts"),
  ]);
  const world = await sourceDeps(deps);
  try {
    const options: SourceOptions = { ...acquireOptions, expect: "checkpoint", skipWeights: true };
    const acquired = await acquire(await resolveSource(model, options, world.deps), options, world.deps);
    for (const message of acquired.notices) deps.onEvent({ type: "notice", message });
    return acquired;
  } finally {
    await world.close();
  }
}

/** A format that was asked for also decides which weights are fetched. */
function optionsOf({ acquire, sourceFormat }: ModelRequest): SourceOptions {
  const prefer = sourceFormat === "huggingface-torch" ? ({ prefer: "torch" } as const) : {};
  const anyFile = sourceFormat === "gguf" && acquire?.ggufFile === undefined ? { ggufFile: "*" } : {};
  return { ...prefer, ...acquire, ...anyFile, expect: "checkpoint" };
}

async function openAcquired(
  { folder, files, source, commit, verified }: AcquiredModel,
  request: ModelRequest,
  openLocal: OpenLocal,
): Promise<OpenedModel> {
  const model = areGguf(files) ? join(folder, files[0] ?? "") : folder;
  const opened = await openLocal({ ...request, model });
  return {
    ...opened,
    origin: { id: source, commit: commit ?? null, files: await integrities(folder, verified) },
  };
}

/** Hashes that were checked while downloading, where they are of the kind that provenance records. */
async function integrities(
  folder: string,
  verified: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, FileIntegrity>> {
  const files = new Map<string, FileIntegrity>();
  for (const [name, hash] of verified) {
    const hex = /^sha256:([0-9a-f]{64})$/.exec(hash)?.[1];
    if (hex === undefined) continue;
    const { size } = await stat(join(folder, name));
    files.set(name, { nbytes: size, integrity: `sha256-${Buffer.from(hex, "hex").toString("base64")}` });
  }
  return files;
}

interface RemoteWork {
  readonly request: ModelRequest;
  readonly options: SourceOptions;
  readonly source: RemoteSource;
  readonly openLocal: OpenLocal;
  readonly deps: OpenDeps;
}

async function openRemote(work: RemoteWork): Promise<OpenedModel> {
  const { request, options, source } = work;
  const { repo, commit } = source.model;
  const { openRemoteFiles } = await import("./source/remote-files.ts");
  const world = await sourceDeps(work.deps);
  try {
    const files = await openRemoteFiles(source, options, world.deps);
    const opened = areGguf(files.map(({ name }) => name))
      ? await openRemoteGguf(files)
      : await openRemoteTensors(request, files, repo);
    return {
      ...opened,
      listing: source.allFiles.map(({ path: name, size }) => ({ name, size })),
      origin: { id: repo, commit, files: new Map() },
      fetch: (output) => fetchAll({ ...work, options: { ...options, output } }),
    };
  } finally {
    await world.close();
  }
}

async function openRemoteTensors(
  { sourceFormat = "auto" }: ModelRequest,
  files: readonly NamedFile[],
  repo: string,
): Promise<Pick<OpenedModel, "config" | "checkpoint">> {
  const format = sourceFormat === "gguf" ? "auto" : sourceFormat;
  return {
    config: await configOf(files, repo),
    checkpoint: await openRemoteCheckpoint(repo, files, { sourceFormat: format }),
  };
}

async function fetchAll({ request, options, source, openLocal, deps }: RemoteWork): Promise<OpenedModel> {
  const { acquire } = await import("./source/acquire.ts");
  const world = await sourceDeps(deps);
  try {
    return await openAcquired(await acquire(source, options, world.deps), request, openLocal);
  } finally {
    await world.close();
  }
}

async function configOf(files: readonly NamedFile[], repo: string): Promise<OpenedModel["config"]> {
  const file = files.find(({ name }) => name === "config.json");
  if (!file) throw new SourceError("E_CONFIG_MISSING", `${repo} has no config.json`);
  const text = new TextDecoder().decode(await file.read(0, file.size));
  const config = parseJson(text, { duplicates: "last-wins" });
  if (isObject(config)) return config;
  throw new CheckpointError("E_CONFIG_SYNTAX", `${repo}: config.json is no JSON object`);
}
