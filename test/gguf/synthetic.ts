/** The rule by which all golden results' source tensors are made: exact values from a name and a position. */

export type SyntheticDType = "F32" | "F16" | "BF16" | "U8";

function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function mix(word: number): number {
  let x = word >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

const GOLDEN_RATIO = 0x9e3779b1;

interface Tensor {
  readonly hash: number;
  readonly cols: number;
  readonly matrix: boolean;
}

/** The signed value at flat index `i`, as a float32-exact number. */
function valueAt(tensor: Tensor, i: number, dtype: Exclude<SyntheticDType, "U8">): number {
  const { hash, cols } = tensor;
  const row = Math.floor(i / cols);
  const x = mix((Math.imul(i, GOLDEN_RATIO) + hash) | 0);
  const y = mix(x ^ 0x85ebca6b);
  const block = Math.imul(row, 0x01000193) + Math.floor((i % cols) / 160);
  if (tensor.matrix && mix((Math.imul(block, GOLDEN_RATIO) + (hash ^ 0x27d4eb2f)) | 0) % 23 === 0) return 0;
  const sum = (x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24) - 510;
  const scale = (mix((Math.imul(row, GOLDEN_RATIO) + (hash ^ 0x5bd1e995)) | 0) % 5) - 2;
  const exponent = scale + (x % 509 === 0 ? 4 : 0);
  if (dtype === "F32") return (sum * 16384 + (y & 16383)) * 2 ** (exponent - 27);
  if (dtype === "F16") return (sum * 4 + (y & 3)) * 2 ** (exponent - 15);
  const magnitude = Math.abs(sum) > 255 ? Math.abs(sum) & ~1 : Math.abs(sum);
  return Math.sign(sum) * magnitude * 2 ** (exponent - 13);
}

function tensorOf(name: string, shape: readonly number[]): Tensor & { readonly count: number } {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return { hash: hashOf(name), cols: shape.at(-1) ?? 1, matrix: shape.length > 1, count };
}

/** A synthetic float tensor's values, row-major; exact in `dtype`. */
export function syntheticValues(
  name: string,
  shape: readonly number[],
  dtype: Exclude<SyntheticDType, "U8">,
): Float32Array {
  const tensor = tensorOf(name, shape);
  return Float32Array.from({ length: tensor.count }, (_, i) => valueAt(tensor, i, dtype));
}

/** A synthetic `U8` tensor. */
export function syntheticBytes(name: string, shape: readonly number[]): Uint8Array {
  const { hash, count } = tensorOf(name, shape);
  return Uint8Array.from({ length: count }, (_, i) => mix((Math.imul(i, GOLDEN_RATIO) + hash) | 0) & 255);
}
