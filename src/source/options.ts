import type { CachePolicy } from "./cache-policy.ts";
import { checkRedo, parseCachePolicy } from "./cache-policy.ts";
import type { SourceDeps } from "./deps.ts";
import type { DownloadOptions } from "./download-all.ts";
import { endpointOf, hfCacheRoot, isOffline, mlcHome, tempRoot } from "./environment.ts";
import type { ChoiceOptions, ModelKind } from "./file-choice.ts";
import { HubCache } from "./hub-cache.ts";
import { HubClient } from "./hub-client.ts";
import { DEFAULT_TIMING } from "./retry.ts";
import { findToken } from "./token.ts";

/** What a user can say about acquiring a model. All optional. */
export interface SourceOptions extends ChoiceOptions {
  /** Branch, tag, commit or `refs/pr/N`; default `main`. */
  readonly revision?: string;
  /** What is needed; default either. */
  readonly expect?: ModelKind;
  /** ON, OFF, REDO or READONLY in any case; default `MLC_DOWNLOAD_CACHE_POLICY`, then ON. */
  readonly cachePolicy?: string;
  /** `true` fetches again, `false` never does, absent lets the policy say. */
  readonly forceRedo?: boolean;
  /** No network. */
  readonly localFilesOnly?: boolean;
  /** Root of the cache for checkpoints, in the hub's layout. */
  readonly cacheDir?: string;
  /** Write checkpoints into the Hugging Face hub cache, for other tools to find. */
  readonly hfCache?: boolean;
  /** A token, or `false` for none. */
  readonly token?: string | false;
  /** The hub's address; default `HF_ENDPOINT`, then the official one. */
  readonly endpoint?: string;
  /** Names with a built-in configuration and no weights. */
  readonly presets?: ReadonlySet<string>;
  /** Hash cached files too, not only what is fetched. */
  readonly verify?: boolean;
  /** Download even if the disk seems too small. */
  readonly ignoreDiskSpace?: boolean;
  /** Bytes that the output will need, with the folder it goes to: checked together with the download. */
  readonly output?: { readonly folder: string; readonly nbytes: number };
  readonly download?: DownloadOptions;
}

/** Options after environment and defaults. */
export interface Settings {
  readonly policy: CachePolicy;
  readonly forceRedo: boolean | undefined;
  readonly localOnly: boolean;
  readonly endpoint: string;
  /** Where checkpoints are written. */
  readonly cache: HubCache;
  /** The hub's own cache, if that is another one. */
  readonly hfCache: HubCache | undefined;
  /** Where converted models are written, one folder each. */
  readonly converted: string;
  /** Where unfinished files go, if it shares the destination's volume. */
  readonly temp: string | undefined;
}

/**
 * Settles options against the environment. Touches nothing.
 * @throws {UsageError} E_CACHE_POLICY, E_REDO_CONTRADICTION, E_ENDPOINT
 */
export function settle(options: SourceOptions, deps: SourceDeps): Settings {
  const policy = parseCachePolicy(options.cachePolicy, deps.env.MLC_DOWNLOAD_CACHE_POLICY);
  const localOnly = options.localFilesOnly === true || isOffline(deps);
  checkRedo(policy, options.forceRedo, localOnly);
  const home = mlcHome(deps);
  const hf = hfCacheRoot(deps);
  const root = options.cacheDir ?? (options.hfCache ? hf : `${home}/hub`);
  const links = deps.env.HF_HUB_DISABLE_SYMLINKS ? false : undefined;
  return {
    policy,
    forceRedo: options.forceRedo,
    localOnly,
    endpoint: endpointOf(deps, options.endpoint),
    cache: new HubCache(root, links),
    hfCache: root === hf ? undefined : new HubCache(hf, links),
    converted: `${home}/model_weights/hf`,
    temp: tempRoot(deps),
  };
}

/** A client for the hub with the token that may be used there. */
export async function openHub(options: SourceOptions, deps: SourceDeps): Promise<HubClient> {
  const endpoint = endpointOf(deps, options.endpoint);
  const token = await findToken(deps, endpoint, options.token);
  return new HubClient(deps, { endpoint, token, timing: options.download?.timing ?? DEFAULT_TIMING });
}
