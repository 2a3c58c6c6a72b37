import { CheckpointError } from "../core/errors.ts";
import { type GgufMetadata, ggufNumber, ggufNumbers, ggufString } from "../core/gguf.ts";
import { Float } from "../core/json.ts";

/** A GGUF architecture and the class of checkpoints that it came from. */
interface Origin {
  readonly modelType: string;
  readonly className: string;
}

const ORIGINS: ReadonlyMap<string, Origin> = new Map([
  ["llama", { modelType: "llama", className: "LlamaForCausalLM" }],
  ["qwen2", { modelType: "qwen2", className: "Qwen2ForCausalLM" }],
  ["qwen3", { modelType: "qwen3", className: "Qwen3ForCausalLM" }],
  ["qwen3moe", { modelType: "qwen3_moe", className: "Qwen3MoeForCausalLM" }],
  ["gemma", { modelType: "gemma", className: "GemmaForCausalLM" }],
  ["gemma2", { modelType: "gemma2", className: "Gemma2ForCausalLM" }],
  ["gemma3", { modelType: "gemma3_text", className: "Gemma3ForCausalLM" }],
  ["phi3", { modelType: "phi3", className: "Phi3ForCausalLM" }],
]);
const MIXTRAL: Origin = { modelType: "mixtral", className: "MixtralForCausalLM" };

/** The metadata of a model's architecture, by short key. */
export class GgufFacts {
  readonly architecture: string;
  private readonly metadata: GgufMetadata;

  /** @throws {CheckpointError} `E_GGUF_ARCHITECTURE` if the file names none that is known */
  constructor(metadata: GgufMetadata) {
    this.metadata = metadata;
    this.architecture = ggufString(metadata.get("general.architecture")) ?? "";
    const type = ggufString(metadata.get("general.type")) ?? "model";
    if (ORIGINS.has(this.architecture) && type === "model") return;
    throw new CheckpointError(
      "E_GGUF_ARCHITECTURE",
      `cannot convert a GGUF ${type} of architecture "${this.architecture}"`,
      { hint: `known architectures are ${[...ORIGINS.keys()].join(", ")}` },
    );
  }

  optional(key: string): number | undefined {
    const value = this.metadata.get(`${this.architecture}.${key}`);
    const values = ggufNumbers(value);
    // Some writers store one number a layer, all the same.
    if (values?.every((each) => each === values[0])) return values[0];
    return values ? undefined : ggufNumber(value);
  }

  /** @throws {CheckpointError} `E_GGUF_METADATA` */
  number(key: string, fallback?: number): number {
    const value = this.optional(key) ?? fallback;
    if (value !== undefined) return value;
    const name = `${this.architecture}.${key}`;
    const problem = this.metadata.has(name) ? "is not one number for all layers" : "is missing";
    throw new CheckpointError("E_GGUF_METADATA", `metadata key ${name} ${problem}`, {
      hint: "the model cannot be converted without it",
    });
  }

  string(key: string): string | undefined {
    return ggufString(this.metadata.get(`${this.architecture}.${key}`));
  }

  token(role: string): number | undefined {
    return ggufNumber(this.metadata.get(`tokenizer.ggml.${role}_token_id`));
  }

  get heads(): number {
    return this.number("attention.head_count");
  }
  get kvHeads(): number {
    return this.number("attention.head_count_kv", this.heads);
  }
  get headDim(): number {
    return this.number("attention.key_length", this.number("embedding_length") / this.heads);
  }
  get experts(): number {
    return this.number("expert_count", 0);
  }

  get origin(): Origin {
    if (this.architecture === "llama" && this.experts > 0) return MIXTRAL;
    return ORIGINS.get(this.architecture) ?? MIXTRAL;
  }
}

/** A float32 as the shortest decimal that rounds to it: 1e-05, not 0.0000099999997. */
export function shortestFloat(value: number): Float {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return new Float(candidate);
  }
  return new Float(value);
}
