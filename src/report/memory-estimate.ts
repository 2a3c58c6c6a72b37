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

/** Types that a key-value cache is kept in. */
export type CacheType = "f32" | "f16" | "q8_0";

export interface MemoryRequest {
  readonly shape: MemoryShape;
  /** Sum of all files, in bytes. */
  readonly weightBytes: number;
  /** In tokens. */
  readonly context: number;
  /** Type of the key-value cache; default `f16`. */
  readonly cache?: CacheType;
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
const ELEMENT_BYTES: Readonly<Record<CacheType, number>> = { f32: 4, f16: 2, q8_0: 34 / 32 };

const inCells = (tokens: number): number => Math.ceil(tokens / CACHE_CELLS) * CACHE_CELLS;

/** Weights, key-value cache and compute buffer at one context length, without any reserve. */
export function estimateMemory(request: MemoryRequest): MemoryEstimate {
  const { weightBytes: weights } = request;
  const cache = cacheBytes(request);
  const compute = computeBytes(request);
  return { weights, cache, compute, total: weights + cache + compute };
}

/** The factors of the cache's size. */
export interface CacheTerms {
  /** Layers that keep every token, and tokens that each keeps. */
  readonly full: { readonly layers: number; readonly cells: number };
  /** Layers with a window, and tokens that each keeps. */
  readonly sliding: { readonly layers: number; readonly cells: number };
  readonly kvHeads: number;
  /** Of one key and one value. */
  readonly elements: number;
  readonly elementBytes: number;
}

/** What the key-value cache of a model is made of, for its arithmetic to be shown. */
export function cacheTerms({ shape, context, cache = "f16", batch = 512 }: MemoryRequest): CacheTerms {
  const cells = inCells(context);
  const { layers, window } = shape.sliding ?? { layers: 0, window: 0 };
  return {
    full: { layers: shape.layers - layers, cells },
    sliding: { layers, cells: Math.min(cells, inCells(window + batch)) },
    kvHeads: shape.kvHeads,
    elements: shape.keyLength + shape.valueLength,
    elementBytes: ELEMENT_BYTES[cache],
  };
}

function cacheBytes(request: MemoryRequest): number {
  const { full, sliding, kvHeads, elements, elementBytes } = cacheTerms(request);
  const layerCells = full.layers * full.cells + sliding.layers * sliding.cells;
  return layerCells * kvHeads * elements * elementBytes;
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
