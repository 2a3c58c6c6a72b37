import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { listProblems, SourceError } from "../core/errors.ts";
import { filesBelow } from "./cache-list.ts";
import { type CacheDecision, decide, forbidsDownload } from "./cache-policy.ts";
import { chooseGguf, holdsGguf, inspectGguf } from "./choose-gguf.ts";
import { chooseRemote } from "./choose-remote.ts";
import { convertedFolder, inspectConverted } from "./converted-cache.ts";
import type { SourceDeps } from "./deps.ts";
import { readOnlyBases } from "./environment.ts";
import { type FolderState, inspectFolder } from "./folder-state.ts";
import type { HubCache } from "./hub-cache.ts";
import { isHubTrouble } from "./hub-errors.ts";
import { type HubName, isCommit, parseModelName } from "./model-name.ts";
import { openHub, type Settings, type SourceOptions, settle } from "./options.ts";
import { choiceOf, resolveLocal } from "./resolve-local.ts";
import type { CachedSource, RemoteSource, ResolvedSource } from "./resolved.ts";

/**
 * Turns what the user typed into a local folder, a complete cached model, or a model on the hub at a commit
 * with its file list. Fetches no weights and writes nothing.
 * @throws {UsageError} for names, policies and options that make no sense
 * @throws {SourceError} E_NO_SUCH_PATH, E_LFS_POINTER, E_MODEL_KIND, E_NOT_CACHED, E_CACHE_INCOMPLETE, E_HUB_…
 */
export async function resolveSource(
  text: string,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<ResolvedSource> {
  const settings = settle(options, deps);
  const { endpoint } = settings;
  const name = parseModelName(text, {
    endpoint,
    exists: existsSync,
    ...(options.revision === undefined ? {} : { revision: options.revision }),
    ...(options.presets === undefined ? {} : { presets: options.presets }),
  });
  if (name.kind === "preset") return { kind: "preset", name: name.name, notices: [] };
  if (name.kind === "hub") return new HubResolution(name, { options, settings, deps }).resolve();
  return resolveLocal(name.path, options);
}

interface Around {
  readonly options: SourceOptions;
  readonly settings: Settings;
  readonly deps: SourceDeps;
}

/** The order of places for a hub name: read-only caches, the writable cache, the hub (acquisition.md §4, §5). */
class HubResolution {
  private readonly name: HubName;
  private readonly around: Around;
  private readonly notices: string[] = [];
  private readonly searched: string[] = [];

  constructor(name: HubName, around: Around) {
    this.name = name;
    this.around = around;
  }

  async resolve(): Promise<ResolvedSource> {
    const { options, settings } = this.around;
    const readOnly = await this.findReadOnly();
    if (readOnly) return this.announce(readOnly);
    const converted = options.expect === "checkpoint" ? undefined : await this.findConverted();
    if (converted && this.decideFor(converted.state).use === "writable")
      return this.cachedConverted(converted);
    if (settings.localOnly || forbidsDownload(settings.policy)) return this.offline(converted);
    if (isCommit(this.name.revision)) {
      const cached = await this.findSnapshot(this.name.revision);
      if (cached && this.decideFor("complete").use === "writable") return cached;
    }
    return this.online();
  }

  private decideFor(writable: FolderState["state"], readOnly = false): CacheDecision {
    const { policy, forceRedo, localOnly } = this.around.settings;
    const effective = localOnly && policy !== "READONLY" ? "OFF" : policy;
    return decide({ policy: effective, forceRedo, readOnly, writable });
  }

  private announce(found: CachedSource): CachedSource {
    const decision = this.decideFor("absent", true);
    if (decision.use === "read-only" && decision.redoIgnored) {
      this.notices.push(`${found.folder} is in a read-only cache and is not downloaded again.`);
    }
    return { ...found, notices: this.notices };
  }

  private async findReadOnly(): Promise<CachedSource | undefined> {
    const { options, deps } = this.around;
    if (options.ggufFile !== undefined) return undefined;
    for (const base of readOnlyBases(deps)) {
      const folder = convertedFolder(path.join(base, "hf"), this.name);
      this.searched.push(folder);
      const found = await inspectFolder(folder, choiceOf(options));
      const fits = options.expect === undefined || found.model === options.expect;
      if (found.state === "complete" && found.model && fits) {
        return this.cached(folder, found, { model: found.model, readOnly: true, commit: undefined });
      }
      if (found.state === "incomplete")
        this.notices.push(`${folder} is skipped: ${found.problems[0] ?? "of another kind"}.`);
    }
    return undefined;
  }

  private async findConverted(): Promise<FolderState> {
    const folder = convertedFolder(this.around.settings.converted, this.name);
    this.searched.push(folder);
    return inspectFolder(folder, choiceOf(this.around.options));
  }

  private async cachedConverted(found: FolderState): Promise<CachedSource> {
    const folder = convertedFolder(this.around.settings.converted, this.name);
    if (this.around.options.verify) await inspectConverted(folder);
    return this.cached(folder, found, {
      model: "converted",
      readOnly: false,
      commit: await commitOf(folder),
    });
  }

  private cached(
    folder: string,
    { files }: FolderState,
    more: Pick<CachedSource, "model" | "readOnly" | "commit">,
  ): CachedSource {
    const { repo, revision } = this.name;
    return { kind: "cached", folder, repo, revision, files, notices: this.notices, ...more };
  }

  /** A complete snapshot of a commit, in the cache that is written or in the hub's own. */
  private async findSnapshot(commit: string): Promise<CachedSource | undefined> {
    const { options, settings } = this.around;
    if (options.expect === "converted") return undefined;
    for (const cache of [settings.cache, settings.hfCache]) {
      if (!cache) continue;
      const folder = cache.snapshot(this.name.repo, commit);
      const found = await this.inspectSnapshot(cache, commit);
      this.searched.push(folder);
      if (found.state === "complete" && found.model === "checkpoint") {
        const tree = await cache.readTree(this.name.repo, commit);
        const listing = [...(tree ?? [])].map(([name, { size }]) => ({ name, size }));
        return {
          ...this.cached(folder, found, {
            model: "checkpoint",
            readOnly: cache !== settings.cache,
            commit,
          }),
          ...(tree ? { listing } : {}),
        };
      }
      if (found.state === "incomplete")
        this.notices.push(`${folder} is incomplete: ${found.problems[0] ?? "no model"}.`);
    }
    return undefined;
  }

  private async inspectSnapshot(cache: HubCache, commit: string): Promise<FolderState> {
    const tree = await cache.readTree(this.name.repo, commit);
    const sizes = new Map([...(tree ?? [])].map(([name, file]) => [name, file.size] as const));
    const { repo, revision } = this.name;
    const folder = cache.snapshot(repo, commit);
    const { options } = this.around;
    const listed = tree ? [...sizes].map(([name, size]) => ({ name, size })) : await filesBelow(folder);
    // Without the list of all files, what is meant may be among those that are not here.
    const known = tree !== undefined || holdsGguf(listed, options);
    const gguf = known ? chooseGguf(listed, options, `${repo} at ${revision}`) : undefined;
    if (gguf && gguf.length > 0) return inspectGguf(folder, gguf, sizes);
    if (options.ggufFile !== undefined) return inspectGguf(folder, [options.ggufFile], sizes);
    return inspectFolder(folder, { ...choiceOf(this.around.options), sizes });
  }

  /** What the revision was when it was last fetched. */
  private async lastKnown(): Promise<{ commit: string; since: number } | undefined> {
    const { cache, hfCache } = this.around.settings;
    const { repo, revision } = this.name;
    return (await cache.readRef(repo, revision)) ?? (await hfCache?.readRef(repo, revision));
  }

  private async offline(converted: FolderState | undefined): Promise<CachedSource> {
    const { policy, localOnly } = this.around.settings;
    const known = await this.lastKnown();
    const cached = known && (await this.findSnapshot(known.commit));
    if (cached) return cached;
    const { repo, revision } = this.name;
    const why = localOnly ? "the network is not to be used" : `the cache policy is ${policy}`;
    const places = listProblems([...new Set(this.searched)]);
    const problems = [
      ...(converted?.problems ?? []),
      ...this.notices.filter((notice) => notice.includes("incomplete")),
    ];
    if (problems.length > 0) {
      throw new SourceError(
        "E_CACHE_INCOMPLETE",
        `${repo} at ${revision} is cached incompletely, and ${why}:\n${listProblems(problems)}`,
        {
          hint: "Allow the download: policy ON, and no --local-files-only or HF_HUB_OFFLINE.",
        },
      );
    }
    throw new SourceError(
      "E_NOT_CACHED",
      `${repo} at ${revision} is not cached, and ${why}; searched:\n${places}`,
      {
        hint: "Allow the download: policy ON, and no --local-files-only or HF_HUB_OFFLINE.",
      },
    );
  }

  private async online(): Promise<CachedSource | RemoteSource> {
    const { deps, options } = this.around;
    try {
      const client = await openHub(options, deps);
      const model = await client.resolveRevision(this.name.repo, this.name.revision);
      const cached = await this.findSnapshot(model.commit);
      if (cached && this.decideFor("complete").use === "writable") return cached;
      return await chooseRemote(
        { client, model, deps },
        { ...this.around, notices: this.notices, name: this.name },
      );
    } catch (error) {
      if (!isHubTrouble(error)) throw error;
      const stale = await this.standIn();
      if (!stale) throw error;
      return {
        ...stale,
        notices: [...stale.notices, `${error.message}; the cached copy is used: ${stale.notice}.`],
      };
    }
  }

  /** A complete cached copy while the hub is in trouble, with its commit and age (T15). */
  private async standIn(): Promise<(CachedSource & { notice: string }) | undefined> {
    if (this.decideFor("complete").use !== "writable") return undefined;
    const known = await this.lastKnown();
    const cached = known && (await this.findSnapshot(known.commit));
    if (!cached) return undefined;
    const days = Math.floor((this.around.deps.now() - known.since) / 86_400_000);
    return { ...cached, notice: `commit ${known.commit}, last checked ${days} days ago` };
  }
}

/** The commit that a converted entry of ours came from. */
async function commitOf(folder: string): Promise<string | undefined> {
  const text = await readFile(path.join(folder, ".mlc-convert.json"), "utf8").catch(() => "");
  return /"commit":\s*"([0-9a-f]{40})"/.exec(text)?.[1];
}
