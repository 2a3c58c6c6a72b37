import { UsageError } from "./core/errors.ts";
import type { FileFrame, Layout } from "./core/layout.ts";
import type { ModelRequest, OpenedModel } from "./open-model.ts";
import type { Architecture } from "./plan/architecture.ts";
import { createPlan } from "./plan/create-plan.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import type { Plan } from "./plan/plan.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";
import { layOut } from "./tensor-cache/layout.ts";

/** Formats that can be written. */
export type TargetFormat = "mlc" | "gguf";

/** What is to be made of a model. */
export interface ConversionRequest extends ModelRequest {
  /** Upstream's name of the scheme, e.g. `q4f16_1`; for GGUF the customary name, e.g. `Q4_K_M`. */
  readonly quantization: string;
  /** What is made: a folder for MLC-LLM and WebLLM, or a GGUF file; default `mlc`. */
  readonly format?: TargetFormat;
  /** GGUF only: largest sum of tensor bytes in one file. */
  readonly splitMaxSize?: number;
  /** GGUF only: the loader's name of byte-level BPE's pre-tokenizer, where tokenizer.json's is not recognised. */
  readonly preTokenizer?: string;
  /** GGUF only: name of the one file; default: from the model's name and the quantization. */
  readonly fileName?: string;
  /** Overrides the architecture that config.json names. */
  readonly modelType?: string;
  /** Compute capability that q4f16_ft is laid out for; default 80. */
  readonly ftArch?: number;
  /** Number of tensor-parallel workers to cut the weights for. */
  readonly preshard?: number;
  /**
   * Make only this worker's part, counted from 0: its `_shard-<rank>` tensors, and the tensors that every
   * worker loads whole. Needs {@link preshard}.
   */
  readonly rank?: number;
}

/** A conversion of which everything is known but the weights. */
export interface PlannedConversion {
  readonly model: OpenedModel;
  readonly plan: Plan;
  readonly layout: Layout;
  readonly target: PlannedTarget;
}

/** What only one of the formats has. */
export type PlannedTarget =
  | { readonly kind: "mlc"; readonly architecture: Architecture }
  | { readonly kind: "gguf"; readonly frames: readonly FileFrame[] };

/** Plans the conversion of a model that is open. */
export async function planModel(model: OpenedModel, request: ConversionRequest): Promise<PlannedConversion> {
  if (request.format === "gguf") {
    const { planGgufModel } = await import("./plan-gguf.ts");
    const { plan, layout, frames } = await planGgufModel(model, request);
    return { model, plan, layout, target: { kind: "gguf", frames } };
  }
  if (request.splitMaxSize !== undefined) {
    throw new UsageError("E_OPTION", "only GGUF files are split", { hint: "give --format gguf too" });
  }
  if (request.preTokenizer !== undefined) {
    throw new UsageError("E_OPTION", "only GGUF files name a pre-tokenizer", {
      hint: "give --format gguf too",
    });
  }
  const { key, notices } = await detectArchitecture(model.config, request.modelType);
  const architecture = await architectureOf(key);
  const plan = await createPlan({
    architecture,
    config: model.config,
    checkpoint: model.checkpoint,
    scheme: schemeOf(request.quantization),
    ...(request.ftArch === undefined ? {} : { ftArch: request.ftArch }),
    ...(request.preshard === undefined ? {} : { preshard: request.preshard }),
    ...(request.rank === undefined ? {} : { rank: request.rank }),
  });
  const all = { ...plan, notices: [...notices, ...plan.notices] };
  return { model, plan: all, layout: layOut(plan.tensors), target: { kind: "mlc", architecture } };
}
