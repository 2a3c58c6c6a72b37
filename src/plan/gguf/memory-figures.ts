import type { GgufModel } from "./model.ts";

/** The figures of a model that the memory to run it depends on. */
export interface MemoryFigures {
  readonly layers: number;
  readonly hidden: number;
  readonly vocab: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Elements of one key and of one value. */
  readonly keyLength: number;
  readonly valueLength: number;
  /** Layers that attend to no more than `window` tokens. */
  readonly sliding?: { readonly layers: number; readonly window: number };
  /** Experts used for one token, and the inner size of each. */
  readonly experts?: { readonly used: number; readonly feedForward: number };
  /** Tokens that the model can attend to. */
  readonly contextLimit: number;
}

/** What the ggml engine keeps for a model: windows only where its files express them. */
export function ggufMemoryFigures(model: GgufModel): MemoryFigures {
  const { layers, hidden, vocab, heads, kvHeads, headDim, context } = model;
  const sliding = slidingLayers(model);
  return {
    layers,
    hidden,
    vocab,
    heads,
    kvHeads,
    keyLength: headDim,
    valueLength: headDim,
    contextLimit: context,
    ...(sliding.layers > 0 ? { sliding } : {}),
    ...expertFigures(model),
  };
}

/** Layers from one full-attention layer to the next. */
const PERIODS: Partial<Record<GgufModel["architecture"], number>> = { gemma2: 2, gemma3: 6 };
const DEFAULT_WINDOW = 4096;

function slidingLayers({ architecture, config, layers }: GgufModel): { layers: number; window: number } {
  const assumed = PERIODS[architecture];
  if (assumed === undefined) return { layers: 0, window: 0 };
  const window = config.get("sliding_window") === null ? 0 : config.number("sliding_window", DEFAULT_WINDOW);
  const kinds = config.get("layer_types");
  if (Array.isArray(kinds)) {
    return { layers: kinds.filter((kind) => kind === "sliding_attention").length, window };
  }
  const given = config.optional("sliding_window_pattern") ?? config.optional("_sliding_window_pattern");
  const period = given ?? assumed;
  return { layers: layers - Math.floor(layers / period), window };
}

function expertFigures({ family, experts, config, feedForward }: GgufModel): Pick<MemoryFigures, "experts"> {
  if (experts === 0) return {};
  const moe = family === "qwen3_moe";
  return {
    experts: {
      used: config.number("num_experts_per_tok", moe ? 8 : 2),
      feedForward: moe ? config.number("moe_intermediate_size", 768) : feedForward,
    },
  };
}
