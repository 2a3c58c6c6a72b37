import { type ModelRequest, type OpenDeps, type OpenedModel, openModel } from "./open-model.ts";
import type { TargetFormat } from "./plan-model.ts";
import type { MemoryWishes } from "./recommend.ts";

const AUTO = "auto";

interface UnsettledRequest extends ModelRequest, MemoryWishes {
  readonly quantizations: readonly string[];
  readonly format?: TargetFormat;
  readonly modelType?: string;
}

interface Settled {
  readonly quantizations: readonly string[];
  /** Opened already, where that was needed to choose. */
  readonly model?: OpenedModel;
}

/**
 * Puts a name in the place of `auto`, the best quantization that fits the memory, and says which.
 * @throws {PlanError} `E_NOTHING_FITS`
 */
export async function settleQuantizations(request: UnsettledRequest, deps: OpenDeps): Promise<Settled> {
  const { quantizations } = request;
  if (!quantizations.includes(AUTO)) return { quantizations };
  const { chooseQuantization } = await import("./recommend.ts");
  const model = await openModel(request, deps);
  const { quantization, notice } = await chooseQuantization(model, request);
  deps.onEvent({ type: "notice", message: notice });
  return { quantizations: quantizations.map((name) => (name === AUTO ? quantization : name)), model };
}
