import { Float, type Json, type JsonObject } from "../core/json.ts";
import { type Llama3Rope, llama3RopeFactors, ropeWavelength } from "../core/rope-factors.ts";
import { type GgufFacts, shortestFloat } from "./gguf-facts.ts";

/** Contents of the small tensors that carry rotary scaling. */
export interface RopeTensors {
  readonly freqs?: Float32Array;
  readonly long?: Float32Array;
  readonly short?: Float32Array;
}

type Base = Pick<Llama3Rope, "theta" | "dims">;

/** rope_scaling from tensors: llama3's, recovered from its factors, or longrope's two lists. */
export function ropeScalingOf({ freqs, long, short }: RopeTensors, base: Base): JsonObject | undefined {
  if (long && short) {
    return new Map<string, Json>([
      ["type", "longrope"],
      ["long_factor", Array.from(long, shortestFloat)],
      ["short_factor", Array.from(short, shortestFloat)],
    ]);
  }
  if (!freqs || freqs.every((factor) => factor === 1)) return undefined;
  const { factor, low, high, original } = llama3Parameters(freqs, base);
  return new Map<string, Json>([
    ["rope_type", "llama3"],
    ["factor", shortestFloat(factor)],
    ["low_freq_factor", new Float(low)],
    ["high_freq_factor", new Float(high)],
    ["original_max_position_embeddings", original],
  ]);
}

/**
 * Parameters that give these factors. The published ones are tried first; others are fitted: between its ends the
 * inverse factor is linear in the frequency. Only ratios are determined, so the low factor is 1.
 */
function llama3Parameters(freqs: Float32Array, base: Base): Llama3Rope {
  const factor = freqs.at(-1) ?? 1;
  const usual = { ...base, factor, low: 1, high: 4, original: 8192 };
  if (isSame(llama3RopeFactors(usual), freqs)) return usual;
  const points = [...freqs].flatMap((value, i): readonly (readonly [number, number])[] => {
    if (value <= 1 || value >= factor) return [];
    return [[1 / ropeWavelength(base, i), (1 / value - 1 / factor) / (1 - 1 / factor)]];
  });
  const { slope, offset } = points.length > 1 ? fitLine(points) : { slope: undefined, offset: 1 / 3 };
  const high = tidy(1 + 1 / offset);
  const [first] = points;
  const start = slope ?? (first ? (first[1] + offset) / first[0] : edgeSlope(freqs, base, offset));
  return { ...usual, high, original: Math.round(start / offset) };
}

/** Without a value between the ends, anything between the two wavelengths fits. */
function edgeSlope(freqs: Float32Array, base: Base, offset: number): number {
  const last = freqs.findLastIndex((value) => value === 1);
  const shorter = last < 0 ? 1 : ropeWavelength(base, last);
  const longer = ropeWavelength(base, last + 1);
  return Math.sqrt(shorter * (1 + 1 / offset) * longer) * offset;
}

/** Least squares for s = slope · x − offset. */
function fitLine(points: readonly (readonly [number, number])[]): { slope: number; offset: number } {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = covariance / variance;
  return { slope, offset: slope * meanX - meanY };
}

/** People choose round numbers; a fit of float32 values is a little off them. */
function tidy(value: number): number {
  const rounded = Math.round(value * 100) / 100;
  return Math.abs(rounded / value - 1) < 1e-3 ? rounded : value;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Math.abs(value / (b[i] ?? 0) - 1) < 1e-5);
}

/** rope_scaling from metadata keys: linear and yarn. */
export function linearRopeScaling(facts: GgufFacts): JsonObject | undefined {
  const type = facts.string("rope.scaling.type");
  const factor = facts.optional("rope.scaling.factor") ?? facts.optional("rope.scale_linear");
  if (factor === undefined || factor === 1 || type === "none") return undefined;
  const original = facts.optional("rope.scaling.original_context_length");
  return new Map<string, Json>([
    ["type", type ?? "linear"],
    ["factor", shortestFloat(factor)],
    ...(original === undefined || type !== "yarn"
      ? []
      : [["original_max_position_embeddings", original] as const]),
  ]);
}
