import { PlanError } from "../core/errors.ts";
import type { FieldReader } from "./field-reader.ts";
import type { ShardStrategy } from "./parameter.ts";
import { cut } from "./table.ts";

/** Sizes of a transformer decoder; what tensor parallelism divides is divided. */
export interface DecoderSizes {
  /** Width of the residual stream. */
  readonly hidden: number;
  /** Width of the feed-forward network, per worker. */
  readonly ffn: number;
  readonly headDim: number;
  readonly layers: number;
  readonly vocab: number;
  /** Rows of the query projection, per worker. */
  readonly q: number;
  /** Rows of the key (and of the value) projection, per worker. */
  readonly kv: number;
  /** Rows of the fused query, key and value projection, per worker. */
  readonly qkv: number;
  /** Number of workers. */
  readonly shards: number;
}

/** Where a class keeps its sizes. */
export interface SizeFields {
  readonly hidden?: string;
  readonly ffn?: string;
  readonly heads?: string;
  readonly kvHeads?: string;
  readonly layers?: string;
}

/**
 * Reads the sizes that most decoders have.
 * @throws {PlanError} `E_SHARDS_DIVISION` if heads or width cannot be divided among the workers
 */
export function decoderSizes(fields: FieldReader, names: SizeFields = {}, shards?: number): DecoderSizes {
  const workers = shards ?? fields.integer("tensor_parallel_shards");
  const headDim = fields.integer("head_dim");
  const heads = perWorker(fields, names.heads ?? "num_attention_heads", workers);
  const kvHeads = perWorker(fields, names.kvHeads ?? "num_key_value_heads", workers);
  return {
    hidden: fields.integer(names.hidden ?? "hidden_size"),
    ffn: perWorker(fields, names.ffn ?? "intermediate_size", workers),
    headDim,
    layers: fields.integer(names.layers ?? "num_hidden_layers"),
    vocab: fields.get("vocab_size") === undefined ? 0 : fields.integer("vocab_size"),
    q: heads * headDim,
    kv: kvHeads * headDim,
    qkv: (heads + 2 * kvHeads) * headDim,
    shards: workers,
  };
}

/**
 * A field divided among the workers.
 * @throws {PlanError} `E_SHARDS_DIVISION` if that leaves a remainder
 */
export function perWorker(fields: FieldReader, name: string, workers: number): number {
  const value = fields.integer(name);
  if (value % workers === 0) return value / workers;
  throw new PlanError(
    "E_SHARDS_DIVISION",
    `${fields.where}.${name} (${value}) cannot be divided among ${workers} tensor parallel shards`,
    { hint: "choose a number of shards that divides it" },
  );
}

/** Cuts a fused query, key and value projection by heads. */
export const cutQkv = (name: string, { q, kv }: DecoderSizes): ShardStrategy => cut(name, 0, [q, kv, kv]);
