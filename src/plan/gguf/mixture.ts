import { type DType, layoutOf } from "../../core/dtype.ts";
import { unknownQuantization } from "../unknown-quantization.ts";

/** One way to quantize a whole model; `general.file_type` names it. */
export interface GgufMixture {
  readonly name: string;
  readonly fileType: number;
  /** Type of every tensor that no rule names. */
  readonly type: DType;
}

const mixture = (name: string, fileType: number, type: DType): GgufMixture => ({ name, fileType, type });

/** Every mixture that can be written, smallest loss last within a family (gguf.md, section 3). */
export const GGUF_MIXTURES: readonly GgufMixture[] = [
  mixture("F32", 0, "float32"),
  mixture("F16", 1, "float16"),
  mixture("BF16", 32, "bfloat16"),
  mixture("Q8_0", 7, "q8_0"),
  mixture("Q4_0", 2, "q4_0"),
  mixture("Q4_1", 3, "q4_1"),
  mixture("Q5_0", 8, "q5_0"),
  mixture("Q5_1", 9, "q5_1"),
  mixture("Q2_K", 10, "q2_K"),
  mixture("Q3_K_S", 11, "q3_K"),
  mixture("Q3_K_M", 12, "q3_K"),
  mixture("Q3_K_L", 13, "q3_K"),
  mixture("Q4_K_S", 14, "q4_K"),
  mixture("Q4_K_M", 15, "q4_K"),
  mixture("Q5_K_S", 16, "q5_K"),
  mixture("Q5_K_M", 17, "q5_K"),
  mixture("Q6_K", 18, "q6_K"),
  mixture("IQ4_NL", 25, "iq4_nl"),
  mixture("IQ4_XS", 30, "iq4_xs"),
];

const SHORT_NAMES: Readonly<Record<string, string>> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/**
 * Finds a mixture by its customary name, in any case.
 * @throws {UsageError} `E_UNKNOWN_QUANTIZATION` with all names, and what was probably meant
 */
export function ggufMixtureOf(name: string): GgufMixture {
  const upper = name.toUpperCase();
  const found = GGUF_MIXTURES.find((each) => each.name === (SHORT_NAMES[upper] ?? upper));
  if (found) return found;
  throw unknownQuantization(name, "gguf", GGUF_MIXTURES);
}

/** What the rules look at besides names. */
export interface MixtureModel {
  readonly architecture: string;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly experts: number;
}

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
}

const layerOf = (name: string): number => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);

/** The order in which the quantizer visits tensors: outside layers first, then by layer, then by name. */
export function ggufOrder<T extends Named>(tensors: readonly T[]): readonly T[] {
  const byName = (a: T, b: T): number => (a.name < b.name ? -1 : Number(a.name > b.name));
  return [...tensors].sort((a, b) => layerOf(a.name) - layerOf(b.name) || byName(a, b));
}

/** The type of each of `tensors`, which are in {@link ggufOrder}. */
export function ggufTypes(
  tensors: readonly Named[],
  { type, name }: GgufMixture,
  model: MixtureModel,
): readonly DType[] {
  const rules = new Rules(tensors, { name, type }, model);
  return tensors.map((tensor) => {
    if (isKept(tensor)) return "float32";
    const row = tensor.shape.at(-1) ?? 1;
    if (layoutOf(type).blockElements === 1) return type;
    // The converter writes Q8_0 itself, and gives every tensor this type.
    const chosen = name === "Q8_0" ? type : rules.typeOf(tensor);
    return fallback(chosen, row);
  });
}

/** Tensors that are float32 in every mixture. */
function isKept({ name, shape }: Named): boolean {
  return (
    shape.length < 2 ||
    !name.endsWith(".weight") ||
    name.endsWith("_norm.weight") ||
    name.endsWith("ffn_gate_inp.weight")
  );
}

const FALLBACKS: Partial<Record<DType, DType>> = {
  q2_K: "q4_0",
  q3_K: "q4_0",
  q4_K: "q5_0",
  q5_K: "q5_1",
  q6_K: "q8_0",
  iq4_xs: "iq4_nl",
};

/** A type whose blocks fill rows of `row` elements. */
function fallback(type: DType, row: number): DType {
  if (row % layoutOf(type).blockElements === 0) return type;
  const smaller = FALLBACKS[type] ?? type;
  return row % layoutOf(smaller).blockElements === 0 ? smaller : "float16";
}

/** The table of gguf.md, section 3; counters run in visiting order. */
class Rules {
  private readonly mixture: Pick<GgufMixture, "name" | "type">;
  private readonly model: MixtureModel;
  private readonly valueCount: number;
  private readonly tied: boolean;
  private values = 0;
  private downs = 0;

  constructor(tensors: readonly Named[], mixture: Pick<GgufMixture, "name" | "type">, model: MixtureModel) {
    this.mixture = mixture;
    this.model = model;
    this.valueCount = tensors.filter((tensor) => isValue(tensor.name)).length;
    this.tied = !tensors.some((tensor) => tensor.name === "output.weight");
  }

  typeOf({ name, shape }: Named): DType {
    const { type } = this.mixture;
    if (name === "output.weight" || (this.tied && name === "token_embd.weight")) {
      return (shape.at(-1) ?? 1) % layoutOf(type).blockElements === 0 ? "q6_K" : "q8_0";
    }
    if (isValue(name)) return this.valueType(this.counter(name, this.values++));
    if (name.endsWith("attn_k.weight")) return this.model.experts === 8 ? "q8_0" : type;
    if (name.endsWith("attn_output.weight")) return this.outputType();
    if (name.includes("ffn_down")) return this.downType(this.counter(name, this.downs++));
    return type;
  }

  /** Models with experts count by layer, since a layer may have many such tensors. */
  private counter(name: string, running: number): number {
    return this.model.experts > 1 ? layerOf(name) : running;
  }

  private valueType(i: number): DType {
    const { architecture, layers, heads, kvHeads, experts } = this.model;
    if (experts === 8) return "q8_0";
    const chosen = this.valueTypeByMixture(i, Math.floor(heads / kvHeads));
    const seventyB = architecture === "llama" && layers === 80 && heads !== kvHeads;
    return seventyB && (chosen === "q3_K" || chosen === "q4_K") ? "q5_K" : chosen;
  }

  private valueTypeByMixture(i: number, shared: number): DType {
    const { name, type } = this.mixture;
    switch (name) {
      case "Q2_K":
        return shared >= 4 ? "q4_K" : "q3_K";
      case "Q3_K_M":
        return i < 2 ? "q5_K" : "q4_K";
      case "Q3_K_L":
        return "q5_K";
      case "IQ4_NL":
      case "IQ4_XS":
        return shared >= 4 ? "q5_K" : type;
      case "Q4_K_M":
      case "Q5_K_M":
        return takesMoreBits(i, this.valueCount) ? "q6_K" : type;
      case "Q4_K_S":
        return i < 4 ? "q5_K" : type;
      default:
        return type;
    }
  }

  private outputType(): DType {
    const { name, type } = this.mixture;
    if (this.model.experts === 8) {
      const raised = ["Q2_K", "Q3_K_S", "Q3_K_M", "IQ4_NL", "IQ4_XS", "Q4_K_S", "Q4_K_M"];
      return raised.includes(name) ? "q5_K" : type;
    }
    const types: Readonly<Record<string, DType>> = { Q2_K: "q3_K", Q3_K_M: "q4_K", Q3_K_L: "q5_K" };
    return types[name] ?? type;
  }

  private downType(i: number): DType {
    const { name, type } = this.mixture;
    const { layers } = this.model;
    switch (name) {
      case "Q2_K":
        return "q3_K";
      case "Q3_K_M":
        return i < Math.floor(layers / 16) ? "q5_K" : "q4_K";
      case "Q3_K_L":
        return "q5_K";
      case "Q4_K_M":
      case "Q5_K_M":
        return takesMoreBits(i, layers) ? "q6_K" : type;
      case "Q4_K_S":
      case "IQ4_NL":
      case "IQ4_XS":
        return i < Math.floor(layers / 8) ? "q5_K" : type;
      default:
        return type;
    }
  }
}

const isValue = (name: string): boolean => name.includes("attn_v.weight") || name.includes("attn_qkv.weight");

/** The first and last eighth, and every third between. */
function takesMoreBits(i: number, n: number): boolean {
  const eighth = Math.floor(n / 8);
  return i < eighth || i >= Math.floor((7 * n) / 8) || (i - eighth) % 3 === 2;
}
