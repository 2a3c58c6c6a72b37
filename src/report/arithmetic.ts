import { cacheTerms, type MemoryShape } from "./memory-estimate.ts";
import type { Assessment, Engine } from "./recommend-variant.ts";

const size = (bytes: number): string =>
  bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** What the key-value cache is the product of: `16 layers × 8192 tokens × 8 heads × 128 elements × 2 bytes`. */
export function cacheProduct(shape: MemoryShape, { context, variant }: Assessment, engine: Engine): string {
  const cache = engine.cacheOf?.(variant.quantization) ?? "f16";
  const terms = cacheTerms({ shape, context, cache, weightBytes: 0 });
  const layers = [terms.full, terms.sliding]
    .filter((each) => each.layers > 0)
    .map((each) => `${each.layers} layers × ${each.cells} tokens`);
  const both = layers.length > 1 ? `(${layers.join(" + ")})` : layers.join("");
  return `${both} × ${terms.kvHeads} heads × ${terms.elements} elements × ${terms.elementBytes} bytes`;
}

const PLACES = {
  gpu: "on the GPU",
  cpu: "in main memory",
  split: "on the GPU and in main memory",
  none: "nowhere",
} as const;

/** One sentence: what a variant needs, and of how much. */
export function memorySentence(assessment: Assessment): string {
  const { memory, context, placement, gpu, main, gpuLayers } = assessment;
  const { weights, cache, compute, total } = memory;
  const sum = `weights ${size(weights)} + cache for ${context} tokens ${size(cache)} + buffers ${size(compute)} = ${size(total)}`;
  const needs = [
    ...(gpuLayers > 0 ? [`${size(gpu.need)} of ${size(gpu.usable)} usable GPU memory`] : []),
    ...(placement === "gpu" ? [] : [`${size(main.need)} of ${size(main.usable)} usable main memory`]),
  ];
  const where = placement === "none" ? "does not fit" : `fits ${PLACES[placement]}`;
  return `${sum}; ${where}: ${needs.join(", ")}`;
}
