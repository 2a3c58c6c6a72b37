import { type CacheType, estimateMemory, type MemoryEstimate, type MemoryShape } from "./memory-estimate.ts";

/** One way to have a model: an existing file, or a quantization that could be made. */
export interface Variant {
  /** For people; a file name or a quantization. */
  readonly name: string;
  /** Customary name of the quantization, `Q4_K_M`; of others the quality is not known. */
  readonly quantization: string;
  readonly weightBytes: number;
}

/** What the machine has, in bytes; no `vram` without a GPU. */
export interface Machine {
  readonly ram: number;
  readonly vram?: number;
}

/** A program that runs models, as far as choosing for it goes. */
export interface Engine {
  readonly name: string;
  /** Best quality first. */
  readonly order: readonly string[];
  /** What is better than this is only taken where there is nothing else. */
  readonly first: string;
  /** Whether layers can be shared out between the GPU and the processor. */
  readonly splits: boolean;
  /** Type of the key-value cache for a quantization; default `f16`. */
  readonly cacheOf?: (quantization: string) => CacheType;
}

/** Best quality first (gguf.md, section 7, "Choice"). */
export const QUALITY_ORDER: readonly string[] = [
  "F32",
  "BF16",
  "F16",
  "Q8_0",
  "Q6_K",
  "Q5_K_M",
  "Q5_K_S",
  "Q4_K_M",
  "IQ4_XS",
  "Q4_K_S",
  "Q4_0",
  "Q3_K_M",
  "Q3_K_S",
  "Q2_K",
];

/** Unquantized variants cost twice Q8_0's memory and gain nothing to speak of. */
export const LLAMA_CPP: Engine = { name: "llama.cpp", order: QUALITY_ORDER, first: "Q8_0", splits: true };

/** Loads a model onto one device whole. */
export const MLC_LLM: Engine = {
  name: "MLC-LLM",
  order: ["q0f16", "q4f16_1", "q3f16_1"],
  first: "q0f16",
  splits: false,
};

/** Where a variant would run. */
export type Placement = "gpu" | "split" | "cpu" | "none";

/** The arithmetic behind one variant at one context length. */
export interface Assessment {
  readonly variant: Variant;
  /** In tokens. */
  readonly context: number;
  readonly memory: MemoryEstimate;
  readonly placement: Placement;
  readonly gpuLayers: number;
  /** The longest context that fits, in tokens; 0 where none does. */
  readonly longestContext: number;
  /** Needed of the GPU and of main memory, reserves included, and what may be used of each; in bytes. */
  readonly gpu: { readonly need: number; readonly usable: number };
  readonly main: { readonly need: number; readonly usable: number };
}

export interface Recommendation {
  /** The first that fits, or `undefined`. */
  readonly chosen: Assessment | undefined;
  /** Best quality first, those of unknown quality last. */
  readonly assessed: readonly Assessment[];
}

/** What is asked about variants. */
export interface RecommendQuestion {
  readonly shape: MemoryShape;
  readonly machine: Machine;
  /** In tokens. */
  readonly context: number;
  /** Tokens that the model can attend to; default `context`. */
  readonly contextLimit?: number;
  /** Default llama.cpp. */
  readonly engine?: Engine;
}

const CPU_RESERVE = 300e6;
const GPU_RESERVE = 1e9;
const SYSTEM_SHARE = 0.1;
const SYSTEM_MINIMUM = 2e9;
const CONTEXT_STEP = 256;

/** What may be used of a machine: the system, the driver and fragmentation take their share. */
export function usableMemory({ ram, vram }: Machine): { readonly main: number; readonly gpu: number } {
  return {
    main: Math.max(ram - Math.max(ram * SYSTEM_SHARE, SYSTEM_MINIMUM), 0),
    gpu: Math.max((vram ?? 0) - GPU_RESERVE, 0),
  };
}

/** What one variant needs of a machine at one context length. */
export function assessVariant(variant: Variant, question: RecommendQuestion): Assessment {
  const here = place(variant, question, question.context);
  return { ...here, longestContext: longestContext(variant, question) };
}

type Placed = Omit<Assessment, "longestContext">;

function place(variant: Variant, { shape, machine, engine }: RecommendQuestion, context: number): Placed {
  const cache = engine?.cacheOf?.(variant.quantization) ?? "f16";
  const memory = estimateMemory({ shape, weightBytes: variant.weightBytes, context, cache });
  const usable = usableMemory(machine);
  const layer = (memory.weights + memory.cache) / shape.layers;
  const room = Math.floor((usable.gpu - memory.compute) / layer);
  const fitting = Math.max(Math.min(room, shape.layers), 0);
  const gpuLayers = engine?.splits === false && fitting < shape.layers ? 0 : fitting;
  const gpu = gpuLayers > 0 ? memory.compute + gpuLayers * layer : 0;
  const main =
    CPU_RESERVE + (shape.layers - gpuLayers) * layer + (gpuLayers < shape.layers ? memory.compute : 0);
  return {
    variant,
    context,
    memory,
    placement: placementOf(main <= usable.main, gpuLayers / shape.layers),
    gpuLayers,
    gpu: { need: gpu, usable: usable.gpu },
    main: { need: main, usable: usable.main },
  };
}

function placementOf(fits: boolean, gpuShare: number): Placement {
  if (!fits) return "none";
  if (gpuShare === 1) return "gpu";
  return gpuShare > 0 ? "split" : "cpu";
}

/** Memory grows with the context, so halving the interval finds where it ends. */
function longestContext(variant: Variant, question: RecommendQuestion): number {
  const fits = (context: number): boolean => place(variant, question, context).placement !== "none";
  const limit = question.contextLimit ?? question.context;
  if (fits(limit)) return limit;
  let [low, high] = [0, Math.ceil(limit / CONTEXT_STEP)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle * CONTEXT_STEP)) low = middle;
    else high = middle;
  }
  return low * CONTEXT_STEP;
}

/**
 * Chooses the variant of best quality that fits: wholly on the GPU if any does, else in main memory as well.
 * Variants whose quality is not known are listed last and taken only where there are no others; unquantized ones
 * likewise only where no quantized one is there.
 */
export function recommendVariant(variants: readonly Variant[], question: RecommendQuestion): Recommendation {
  const { order, first } = question.engine ?? LLAMA_CPP;
  const rank = ({ variant }: Assessment): number => {
    const at = order.indexOf(variant.quantization);
    return at < 0 ? order.length : at;
  };
  const assessed = variants
    .map((variant) => assessVariant(variant, question))
    .sort((a, b) => rank(a) - rank(b) || b.variant.weightBytes - a.variant.weightBytes);
  const known = assessed.filter((each) => rank(each) < order.length);
  const sensible = known.filter((each) => rank(each) >= order.indexOf(first));
  const candidates = [sensible, known, assessed].find((each) => each.length > 0) ?? [];
  const chosen =
    candidates.find((each) => each.placement === "gpu") ??
    candidates.find((each) => each.placement !== "none");
  return { chosen, assessed };
}
