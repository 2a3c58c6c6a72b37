/** What a local GGUF engine needs of memory to run a model (gguf.md, section 7, "Estimate"). */

/** The figures of a model that its memory depends on. */
export interface MemoryShape {
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
}

export interface MemoryRequest {
  readonly shape: MemoryShape;
  /** Sum of all files, in bytes. */
  readonly weightBytes: number;
  /** In tokens. */
  readonly context: number;
  /** Type of the key-value cache; default `f16`. */
  readonly cache?: "f16" | "q8_0";
  /** Tokens computed at once; default 512. */
  readonly batch?: number;
  /** Default true. */
  readonly flashAttention?: boolean;
}

/** All in bytes. */
export interface MemoryEstimate {
  readonly weights: number;
  readonly cache: number;
  readonly compute: number;
  readonly total: number;
}

const CACHE_CELLS = 256;
const FLOAT_BYTES = 4;
const ELEMENT_BYTES = { f16: 2, q8_0: 34 / 32 } as const;

const inCells = (tokens: number): number => Math.ceil(tokens / CACHE_CELLS) * CACHE_CELLS;

/** Weights, key-value cache and compute buffer at one context length, without any reserve. */
export function estimateMemory(request: MemoryRequest): MemoryEstimate {
  const { weightBytes: weights } = request;
  const cache = cacheBytes(request);
  const compute = computeBytes(request);
  return { weights, cache, compute, total: weights + cache + compute };
}

function cacheBytes({ shape, context, cache = "f16", batch = 512 }: MemoryRequest): number {
  const cells = inCells(context);
  const sliding = shape.sliding ?? { layers: 0, window: 0 };
  const slidingCells = Math.min(cells, inCells(sliding.window + batch));
  const layerCells = (shape.layers - sliding.layers) * cells + sliding.layers * slidingCells;
  return layerCells * shape.kvHeads * (shape.keyLength + shape.valueLength) * ELEMENT_BYTES[cache];
}

function computeBytes({ shape, context, batch = 512, flashAttention = true }: MemoryRequest): number {
  const { vocab, hidden, heads, experts } = shape;
  const output = batch * FLOAT_BYTES * (vocab + 2 * hidden);
  if (!flashAttention) {
    return Math.max(output, batch * FLOAT_BYTES * (context * (heads + 1) + 5.5 * hidden));
  }
  if (!experts) return output;
  const mixture = batch * FLOAT_BYTES * experts.used * (3 * experts.feedForward + 2 * hidden);
  return Math.max(output, mixture + batch * context * 2);
}
