export type { ChatOptions } from "./chat-files.ts";
export {
  type ConvertDeps,
  type ConvertManyRequest,
  type ConvertRequest,
  convert,
  convertMany,
  outputFolders,
} from "./convert.ts";
export {
  CheckpointError,
  KernelError,
  MlcConvertError,
  OutputError,
  PlanError,
  SourceError,
  UsageError,
} from "./core/errors.ts";
export type { ConvertEvent, OnEvent, Phase } from "./core/events.ts";
export type { Layout, PlacedTensor, Shard } from "./core/layout.ts";
export { VERSION } from "./core/package-root.ts";
export { runDemo } from "./demo.ts";
export { type GenConfigRequest, type GenConfigResult, genConfig } from "./gen-config.ts";
export { type BackendInfo, listBackends } from "./native/addon.ts";
export { type CudaDevice, type CudaDevices, listCudaDevices } from "./native/cuda.ts";
export type { ModelRequest, OpenedModel } from "./open-model.ts";
export type { OutputTensor, Plan, PlanMetadata } from "./plan/plan.ts";
export { SCHEMES, type Scheme } from "./plan/scheme.ts";
export { type SupportRow, supportMatrix } from "./plan/support-matrix.ts";
export { planConversion } from "./plan-conversion.ts";
export type { ConversionRequest, PlannedConversion } from "./plan-model.ts";
export {
  type Advice,
  chooseQuantization,
  type MemoryWishes,
  type RecommendationReport,
  type RecommendRequest,
  recommend,
} from "./recommend.ts";
export type { ConversionReport } from "./report/conversion-report.ts";
export { type PlanReport, planReport } from "./report/plan-report.ts";
export type { Assessment, Machine, Placement, Variant } from "./report/recommend-variant.ts";
export { type AcquiredModel, acquire } from "./source/acquire.ts";
export { type CacheEntry, type CachePlace, listCache } from "./source/cache-list.ts";
export { type Pruned, type PruneRequest, pruneCache } from "./source/cache-prune.ts";
export { type VerifiedEntry, verifyCache } from "./source/cache-verify.ts";
export type { SourceDeps } from "./source/deps.ts";
export { openHttp } from "./source/http.ts";
export type { SourceOptions } from "./source/options.ts";
export { openRemoteFiles } from "./source/remote-files.ts";
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
export type { Fault, VerifyResult } from "./tensor-cache/verify.ts";
export { type VerifyOptions, verify } from "./verify.ts";
export { type ServedDirectory, type ServeOptions, serveDirectory } from "./web/serve-directory.ts";
export { type WebApp, type WebAppRequest, webApp } from "./web-app.ts";
