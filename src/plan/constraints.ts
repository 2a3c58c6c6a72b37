import { type FieldReader, spell } from "./field-reader.ts";

/** A condition under which upstream can build the model (architectures.md §2.48). Throws where it does not hold. */
export type Constraint = (fields: FieldReader) => void;

/** The hidden size must be divisible by the number of heads, also where `head_dim` is given. */
export function wholeHeads(hidden = "hidden_size", heads = "num_attention_heads"): Constraint {
  return (fields) => {
    const [width, count] = [fields.integer(hidden), fields.integer(heads)];
    if (count > 0 && width % count === 0) return;
    throw fields.problem(`${hidden} (${width}) must be divisible by ${heads} (${count})`);
  };
}

/** The field must hold one of these words. */
export function oneOf(name: string, words: readonly string[]): Constraint {
  return (fields) => {
    const value = fields.get(name);
    if (typeof value === "string" && words.includes(value)) return;
    throw fields.problem(`${name} must be one of ${words.join(", ")}, found ${spell(value)}`);
  };
}

const ACTIVATIONS = ["gelu", "relu", "silu", "swish", "gelu_new"] as const;

/** The activation must be one that the runtime knows. */
export const activation = (name = "hidden_act", known: readonly string[] = ACTIVATIONS): Constraint =>
  oneOf(name, known);

/** Every layer must have experts. */
export const everyLayerHasExperts: Constraint = (fields) => {
  const [experts, step] = [fields.integer("num_experts"), fields.integer("decoder_sparse_step")];
  if (experts > 0 && step === 1) return;
  throw fields.problem(
    `num_experts (${experts}) must be positive and decoder_sparse_step (${step}) must be 1: dense layers are not supported`,
  );
};

/** Tensor parallelism is not available. */
export const oneShard: Constraint = (fields) => {
  const shards = fields.integer("tensor_parallel_shards");
  if (shards !== 1) throw fields.problem(`tensor_parallel_shards must be 1, found ${shards}`);
};
