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
export { runDemo } from "./demo.ts";
export { type BackendInfo, listBackends } from "./native/addon.ts";
export type { ModelRequest, OpenedModel } from "./open-model.ts";
export type { OutputTensor, Plan, PlanMetadata } from "./plan/plan.ts";
export { SCHEMES, type Scheme } from "./plan/scheme.ts";
export { type ConversionRequest, type PlannedConversion, planConversion } from "./plan-conversion.ts";
export type { ConversionReport } from "./report/conversion-report.ts";
export { type PlanReport, planReport } from "./report/plan-report.ts";
export type { Fault, VerifyResult } from "./tensor-cache/verify.ts";
export { type VerifyOptions, verify } from "./verify.ts";
export { VERSION } from "./version.ts";
