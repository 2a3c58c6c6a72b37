/** The dtypes that synthetic tensors come in, as safetensors spells them. */
export type SyntheticDType = "F32" | "F16" | "BF16" | "F8_E4M3" | "I32" | "U8";

/** A tensor that is described completely by these three. */
export interface SyntheticTensor {
  readonly name: string;
  readonly dtype: SyntheticDType;
  readonly shape: readonly number[];
}

const ELEMENT_BYTES: Readonly<Record<SyntheticDType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  I32: 4,
  U8: 1,
};
const GOLDEN_RATIO = 0x9e3779b1;
const FNV_PRIME = 0x01000193;
/** Columns that share one draw whether they are zero. */
const ZERO_RUN = 160;

/** Bytes of one element. */
export function elementBytes(dtype: SyntheticDType): number {
  return ELEMENT_BYTES[dtype];
}

/** Number of elements of a synthetic tensor. */
export function elementsOf(tensor: SyntheticTensor): number {
  return tensor.shape.reduce((product, extent) => product * extent, 1);
}

/**
 * Makes the elements from `start` to `end` of a tensor, little-endian.
 *
 * Values follow from name, dtype and index alone: bell-shaped, with a scale per row, outliers and runs of zeros, all
 * exact in their dtype. The same rule made the inputs of the recorded golden results.
 *
 * @param tensor what to make
 * @param start first flat index (row-major)
 * @param end flat index behind the last
 * @returns [(end - start) elements] as bytes; the caller owns them
 */
export function syntheticBytes(tensor: SyntheticTensor, start: number, end: number): Uint8Array {
  const hash = fnv1a(tensor.name);
  switch (tensor.dtype) {
    case "I32":
      return asBytes(Uint32Array.from({ length: end - start }, (_, at) => mix(start + at, hash)));
    case "U8":
      return Uint8Array.from({ length: end - start }, (_, at) => mix(start + at, hash) & 255);
    case "F8_E4M3":
      return Uint8Array.from({ length: end - start }, (_, at) => withoutNan(mix(start + at, hash) & 255));
    case "F32":
      return floatBytes(tensor, { hash, start, end }, new Float32Array(end - start));
    case "F16":
      return floatBytes(tensor, { hash, start, end }, new Uint16Array(end - start));
    case "BF16":
      return floatBytes(tensor, { hash, start, end }, new Uint16Array(end - start));
  }
}

interface Span {
  readonly hash: number;
  readonly start: number;
  readonly end: number;
}

/** Fills `out` run by run: within a run of {@link ZERO_RUN} columns of one row only the word x changes. */
function floatBytes(tensor: SyntheticTensor, span: Span, out: Float32Array | Uint16Array): Uint8Array {
  const { hash, start, end } = span;
  const cols = tensor.shape.at(-1) ?? 1;
  const mayBeZero = tensor.shape.length >= 2;
  const fill = FILLERS[tensor.dtype as "F32" | "F16" | "BF16"];
  for (let index = start; index < end; ) {
    const row = Math.floor(index / cols);
    const col = index % cols;
    const run = Math.floor(col / ZERO_RUN);
    const runEnd = Math.min(end, index - col + Math.min(cols, (run + 1) * ZERO_RUN));
    const block = mix((Math.imul(row, FNV_PRIME) + run) | 0, hash ^ 0x27d4eb2f);
    const rowScale = (mix(row, hash ^ 0x5bd1e995) % 5) - 2;
    if (!(mayBeZero && block % 23 === 0))
      fill(out, { hash, start: index, end: runEnd }, { at: index - start, rowScale });
    index = runEnd;
  }
  return asBytes(out);
}

type Filler = (
  out: Float32Array | Uint16Array,
  span: Span,
  place: { readonly at: number; readonly rowScale: number },
) => void;

const FILLERS: Readonly<Record<"F32" | "F16" | "BF16", Filler>> = {
  F32: (out, { hash, start, end }, { at, rowScale }) => {
    const unit = 2 ** (rowScale - 27);
    for (let index = start; index < end; index++) {
      const x = mix(index, hash);
      const y = finalize(x ^ 0x85ebca6b);
      out[at + index - start] = (bell(x) * 16384 + (y & 16383)) * (x % 509 === 0 ? unit * 16 : unit);
    }
  },
  F16: (out, { hash, start, end }, { at, rowScale }) => {
    const [usual, outlier] = [halfTable(rowScale), halfTable(rowScale + 4)];
    for (let index = start; index < end; index++) {
      const x = mix(index, hash);
      const y = finalize(x ^ 0x85ebca6b);
      const mantissa = bell(x) * 4 + (y & 3);
      out[at + index - start] = (x % 509 === 0 ? outlier : usual)[mantissa + HALF_RANGE] ?? 0;
    }
  },
  BF16: (out, { hash, start, end }, { at, rowScale }) => {
    const [usual, outlier] = [brainTable(rowScale), brainTable(rowScale + 4)];
    for (let index = start; index < end; index++) {
      const x = mix(index, hash);
      out[at + index - start] = (x % 509 === 0 ? outlier : usual)[bell(x) + BELL_RANGE] ?? 0;
    }
  },
};

/** Largest magnitude of {@link bell}. */
const BELL_RANGE = 510;
/** Largest magnitude of a float16 mantissa: four times the bell's, and two more bits. */
const HALF_RANGE = 4 * BELL_RANGE + 3;

/** Bits of every mantissa from -`range` to `range` at one scale; there are nine scales, so they are kept. */
function bitsTable(range: number, bitsOf: (mantissa: number, scale: number) => number) {
  const tables = new Map<number, Uint16Array>();
  return (scale: number): Uint16Array => {
    const known = tables.get(scale);
    if (known) return known;
    const table = Uint16Array.from({ length: 2 * range + 1 }, (_, at) => bitsOf(at - range, scale));
    tables.set(scale, table);
    return table;
  };
}

const halfTable = bitsTable(HALF_RANGE, (mantissa, scale) => halfBits(mantissa, scale - 15));
const brainTable = bitsTable(BELL_RANGE, (sum, scale) => {
  const mantissa = sum > 255 ? sum & ~1 : sum < -255 ? -(-sum & ~1) : sum;
  return (new Uint32Array(new Float32Array([mantissa * 2 ** (scale - 13)]).buffer)[0] ?? 0) >>> 16;
});

/** float16 bits of `mantissa` · 2^`exponent`, which must be exact: |mantissa| < 2^11 and exponent >= -24. */
function halfBits(mantissa: number, exponent: number): number {
  if (mantissa === 0) return 0;
  const sign = mantissa < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(mantissa);
  const top = 31 - Math.clz32(magnitude);
  const biased = top + exponent + 15;
  if (biased <= 0) return sign | (magnitude << (exponent + 24));
  return sign | (biased << 10) | ((magnitude << (10 - top)) & 0x3ff);
}

/** Sum of the four bytes of `x`, centred: -510 … 510. */
function bell(x: number): number {
  return (x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24) - 510;
}

/** The word of flat index `index` in the tensor whose name hashes to `offset`. */
function mix(index: number, offset: number): number {
  return finalize(Math.imul(index, GOLDEN_RATIO) + offset);
}

/** murmur3's 32-bit finalizer. */
function finalize(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** FNV-1a, 32 bit, of the UTF-8 bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return hash >>> 0;
}

/** 0x7F and 0xFF are NaN in float8_e4m3fn. */
function withoutNan(byte: number): number {
  return (byte & 0x7f) === 0x7f ? byte & 0xfe : byte;
}

function asBytes(array: Float32Array | Uint16Array | Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
