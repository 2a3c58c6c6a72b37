import { llama3RopeFactors } from "../../core/rope-factors.ts";
import { configError } from "./config.ts";
import type { GgufModel } from "./model.ts";

interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly constant: Float32Array;
}

/** Tensors that carry rotary scaling: llama3's frequency factors, longrope's two lists. */
export function ropeTensors(model: GgufModel): readonly Constant[] {
  if (model.architecture === "llama" && model.rope.type === "llama3") {
    const constant = llama3Factors(model);
    return [{ name: "rope_freqs.weight", shape: [constant.length], constant }];
  }
  if (model.architecture !== "phi3" || model.rope.type === "default") return [];
  return (["long", "short"] as const).map((kind) => {
    const factors = model.rope.fields.numbers(`${kind}_factor`);
    const expected = rotaryDims(model) / 2;
    if (factors?.length !== expected) {
      throw configError(`config.json: expected ${expected} numbers as rope_scaling.${kind}_factor`);
    }
    return {
      name: `rope_factors_${kind}.weight`,
      shape: [expected],
      constant: Float32Array.from(factors),
    };
  });
}

/** How many elements of a head are rotated. */
export function rotaryDims({ config, headDim, heads, hidden, architecture, rope }: GgufModel): number {
  if (architecture !== "phi3") return headDim;
  const share = rope.fields.optional("partial_rotary_factor") ?? config.number("partial_rotary_factor", 1);
  return Math.floor(Math.floor(share * hidden) / heads);
}

function llama3Factors({ rope, headDim, config }: GgufModel): Float32Array {
  return llama3RopeFactors({
    theta: rope.theta,
    dims: headDim,
    factor: rope.fields.number("factor", 8),
    low: rope.fields.number("low_freq_factor", 1),
    high: rope.fields.number("high_freq_factor", 4),
    original: rope.fields.number(
      "original_max_position_embeddings",
      config.number("original_max_position_embeddings", 8192),
    ),
  });
}
