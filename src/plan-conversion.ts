import type { Layout } from "./core/layout.ts";
import { type ModelRequest, type OpenDeps, type OpenedModel, openModel } from "./open-model.ts";
import type { Architecture } from "./plan/architecture.ts";
import { createPlan } from "./plan/create-plan.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import type { Plan } from "./plan/plan.ts";
import { architectureOf } from "./plan/registry.ts";
import { schemeOf } from "./plan/scheme.ts";
import { layOut } from "./tensor-cache/layout.ts";

/** What is to be made of a model. */
export interface ConversionRequest extends ModelRequest {
  /** Upstream's name of the scheme, e.g. `q4f16_1`. */
  readonly quantization: string;
  /** Overrides the architecture that config.json names. */
  readonly modelType?: string;
  /** Compute capability that q4f16_ft is laid out for; default 80. */
  readonly ftArch?: number;
  /** Number of tensor-parallel workers to cut the weights for. */
  readonly preshard?: number;
}

/** A conversion of which everything is known but the weights. */
export interface PlannedConversion {
  readonly model: OpenedModel;
  readonly architecture: Architecture;
  readonly plan: Plan;
  readonly layout: Layout;
}

/**
 * Plans a conversion from config.json and the tensor headers alone. Every naming, shape, dtype and support
 * problem shows here, before a weight is read or downloaded.
 *
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function planConversion(
  request: ConversionRequest,
  deps: OpenDeps = { onEvent: () => {} },
): Promise<PlannedConversion> {
  const scheme = schemeOf(request.quantization);
  const sourceFormat = request.sourceFormat ?? (scheme.kind === "awq" ? "awq" : "auto");
  return planModel(await openModel({ ...request, sourceFormat }, deps), request);
}

/** Plans the conversion of a model that is open. */
export async function planModel(model: OpenedModel, request: ConversionRequest): Promise<PlannedConversion> {
  const { key, notices } = await detectArchitecture(model.config, request.modelType);
  const architecture = await architectureOf(key);
  const plan = await createPlan({
    architecture,
    config: model.config,
    checkpoint: model.checkpoint,
    scheme: schemeOf(request.quantization),
    ...(request.ftArch === undefined ? {} : { ftArch: request.ftArch }),
    ...(request.preshard === undefined ? {} : { preshard: request.preshard }),
  });
  const all = { ...plan, notices: [...notices, ...plan.notices] };
  return { model, architecture, plan: all, layout: layOut(plan.tensors) };
}
