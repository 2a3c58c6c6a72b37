export { type AcquiredModel, acquire } from "./source/acquire.ts";
export { type CacheEntry, type CachePlace, listCache } from "./source/cache-list.ts";
export { type Pruned, type PruneRequest, pruneCache } from "./source/cache-prune.ts";
export { type VerifiedEntry, verifyCache } from "./source/cache-verify.ts";
export type { SourceDeps } from "./source/deps.ts";
export { openHttp } from "./source/http.ts";
export type { SourceOptions } from "./source/options.ts";
export { openRemoteHeaders, type RemoteHeader, type RemoteHeaders } from "./source/remote-headers.ts";
export { resolveSource } from "./source/resolve-source.ts";
export {
  type CachedSource,
  type LocalSource,
  type PlannedFile,
  type PresetSource,
  plannedBytes,
  plannedFiles,
  type RemoteSource,
  type ResolvedSource,
} from "./source/resolved.ts";
