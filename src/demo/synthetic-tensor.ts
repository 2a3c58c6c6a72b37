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
      return asBytes(Uint32Array.from({ length: end - start }, (_, at) => word(start + at, hash)));
    case "U8":
      return Uint8Array.from({ length: end - start }, (_, at) => word(start + at, hash) & 255);
    case "F8_E4M3":
      return Uint8Array.from({ length: end - start }, (_, at) => withoutNan(word(start + at, hash) & 255));
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
    for (let index = start; index < end; index++) {
      const x = word(index, hash);
      const y = finalize(x ^ 0x85ebca6b);
      const scale = x % 509 === 0 ? rowScale + 4 : rowScale;
      out[at + index - start] = (bell(x) * 16384 + (y & 16383)) * 2 ** (scale - 27);
    }
  },
  F16: (out, { hash, start, end }, { at, rowScale }) => {
    for (let index = start; index < end; index++) {
      const x = word(index, hash);
      const y = finalize(x ^ 0x85ebca6b);
      const scale = x % 509 === 0 ? rowScale + 4 : rowScale;
      out[at + index - start] = halfBits(bell(x) * 4 + (y & 3), scale - 15);
    }
  },
  BF16: (out, { hash, start, end }, { at, rowScale }) => {
    for (let index = start; index < end; index++) {
      const x = word(index, hash);
      const scale = x % 509 === 0 ? rowScale + 4 : rowScale;
      const sum = bell(x);
      const mantissa = sum > 255 ? sum & ~1 : sum < -255 ? -(-sum & ~1) : sum;
      FLOAT_VIEW[0] = mantissa * 2 ** (scale - 13);
      out[at + index - start] = (BITS_VIEW[0] ?? 0) >>> 16;
    }
  },
};

const FLOAT_VIEW = new Float32Array(1);
const BITS_VIEW = new Uint32Array(FLOAT_VIEW.buffer);

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

/** The word of flat index `index` in the tensor whose name hashes to `hash`. */
function word(index: number, hash: number): number {
  return mix(index, hash);
}

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
