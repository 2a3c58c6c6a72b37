import { estimateMemory, type MemoryEstimate, type MemoryShape } from "./memory-estimate.ts";

/** One way to have a model: an existing file, or a quantization that could be made. */
export interface Variant {
  /** For people; a file name or a quantization. */
  readonly name: string;
  /** Customary name of the quantization, `Q4_K_M`; others are not recommended. */
  readonly quantization: string;
  readonly weightBytes: number;
}

/** What the machine has, in bytes; no `vram` without a GPU. */
export interface Machine {
  readonly ram: number;
  readonly vram?: number;
}

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
  /** Needed of the GPU and of main memory, reserves included, and what may be used of each; in bytes. */
  readonly gpu: { readonly need: number; readonly usable: number };
  readonly main: { readonly need: number; readonly usable: number };
}

export interface Recommendation {
  /** The first that fits, or `undefined`. */
  readonly chosen: Assessment | undefined;
  /** All of known quantization, best quality first. */
  readonly assessed: readonly Assessment[];
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
const FIRST_CHOICE = QUALITY_ORDER.indexOf("Q8_0");
const CPU_RESERVE = 300e6;
const GPU_RESERVE = 1e9;
const SYSTEM_SHARE = 0.1;
const SYSTEM_MINIMUM = 2e9;

/** What one variant needs of a machine at one context length. */
export function assessVariant(
  variant: Variant,
  { shape, machine, context }: { shape: MemoryShape; machine: Machine; context: number },
): Assessment {
  const memory = estimateMemory({ shape, weightBytes: variant.weightBytes, context });
  const usable = {
    gpu: Math.max((machine.vram ?? 0) - GPU_RESERVE, 0),
    main: machine.ram - Math.max(machine.ram * SYSTEM_SHARE, SYSTEM_MINIMUM),
  };
  const layer = (memory.weights + memory.cache) / shape.layers;
  const room = Math.floor((usable.gpu - memory.compute) / layer);
  const gpuLayers = Math.max(Math.min(room, shape.layers), 0);
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

/**
 * Chooses the variant of best quality that fits: wholly on the GPU if any does, else in main memory as well.
 * Variants of unknown quantization are left out; unquantized ones are only taken when there are no others.
 */
export function recommendVariant(
  variants: readonly Variant[],
  request: { readonly shape: MemoryShape; readonly machine: Machine; readonly context: number },
): Recommendation {
  const rank = (assessment: Assessment): number => QUALITY_ORDER.indexOf(assessment.variant.quantization);
  const assessed = variants
    .filter((variant) => QUALITY_ORDER.includes(variant.quantization))
    .map((variant) => assessVariant(variant, request))
    .sort((a, b) => rank(a) - rank(b));
  const sensible = assessed.filter((each) => rank(each) >= FIRST_CHOICE);
  const candidates = sensible.length > 0 ? sensible : assessed;
  const chosen =
    candidates.find((each) => each.placement === "gpu") ??
    candidates.find((each) => each.placement !== "none");
  return { chosen, assessed };
}
