import { byteLength, elementCount } from "../../core/dtype.ts";
import { GGUF_DEFAULT_ALIGNMENT } from "../../core/gguf.ts";
import type { JsonObject } from "../../core/json.ts";
import { GGUF_MIXTURES, ggufOrder, ggufTypes } from "./mixture.ts";
import { ggufModelOf } from "./model.ts";
import { ggufTensors, type SourceTensors } from "./tensors.ts";

/** What a quantization of a model would weigh. */
export interface MixtureSize {
  readonly quantization: string;
  /** Of all tensors, padding included; without metadata. */
  readonly nbytes: number;
}

/**
 * The size of a model in every quantization, without making one.
 * @throws {PlanError} as `planGguf`, for models that cannot be written as GGUF
 */
export function ggufMixtureSizes(config: JsonObject, sources: SourceTensors): readonly MixtureSize[] {
  const model = ggufModelOf(config);
  const tensors = ggufOrder(ggufTensors(model, sources));
  return GGUF_MIXTURES.map((mixture) => {
    const types = ggufTypes(tensors, mixture, model);
    const nbytes = tensors.reduce((sum, { shape }, i) => {
      const bytes = byteLength(types[i] ?? "float32", elementCount(shape)) ?? 0;
      return sum + Math.ceil(bytes / GGUF_DEFAULT_ALIGNMENT) * GGUF_DEFAULT_ALIGNMENT;
    }, 0);
    return { quantization: mixture.name, nbytes };
  });
}
