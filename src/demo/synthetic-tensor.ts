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
const GOLDEN_RATIO = 0x9e3779b1 | 0;
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
  const count = end - start;
  switch (tensor.dtype) {
    case "I32":
      return asBytes(fillWords(new Int32Array(count), hash, start));
    case "U8":
      return fillWords(new Uint8Array(count), hash, start);
    case "F8_E4M3":
      return withoutNan(fillWords(new Uint8Array(count), hash, start));
    case "F32": {
      const out = new Float32Array(count);
      eachRun(tensor, { hash, start, end }, (run) => fillF32(out, run));
      return asBytes(out);
    }
    case "F16": {
      const out = new Uint16Array(count);
      eachRun(tensor, { hash, start, end }, (run) => fillF16(out, run));
      return asBytes(out);
    }
    case "BF16": {
      const out = new Float32Array(count);
      eachRun(tensor, { hash, start, end }, (run) => fillBF16(out, run));
      return asBytes(highHalves(new Uint32Array(out.buffer)));
    }
  }
}

/** The words x themselves; a narrower array keeps their low bits. */
function fillWords<T extends Int32Array | Uint8Array>(out: T, hash: number, start: number): T {
  for (let at = 0; at < out.length; at++) out[at] = mix(start + at, hash);
  return out;
}

/** Neighbours in one row that share the row's scale and are not zero. */
interface Run {
  readonly hash: number;
  /** First flat index, and where it is in the output. */
  readonly index: number;
  readonly at: number;
  readonly length: number;
  /** The row's scale e; outliers have e + 4. */
  readonly scale: number;
}

/** A callback, not a generator: inlined into a generator's loop, the fillers ran ten times slower on Node 20. */
function eachRun(
  tensor: SyntheticTensor,
  { hash, start, end }: { readonly hash: number; readonly start: number; readonly end: number },
  fill: (run: Run) => void,
): void {
  const cols = tensor.shape.at(-1) ?? 1;
  const mayBeZero = tensor.shape.length >= 2;
  for (let index = start; index < end; ) {
    const row = Math.floor(index / cols);
    const col = index % cols;
    const zeroRun = Math.floor(col / ZERO_RUN);
    const runEnd = Math.min(end, index - col + Math.min(cols, (zeroRun + 1) * ZERO_RUN));
    const block = mix((Math.imul(row, FNV_PRIME) + zeroRun) | 0, hash ^ 0x27d4eb2f) >>> 0;
    const scale = ((mix(row, hash ^ 0x5bd1e995) >>> 0) % 5) - 2;
    if (!mayBeZero || block % 23 !== 0)
      fill({ hash, index, at: index - start, length: runEnd - index, scale });
    index = runEnd;
  }
}

function fillF32(out: Float32Array, { hash, index, at, length, scale }: Run): void {
  const usual = 2 ** (scale - 27);
  const outlier = 2 ** (scale + 4 - 27);
  for (let i = 0; i < length; i++) {
    const x = mix(index + i, hash);
    const y = finalize(x ^ 0x85ebca6b);
    out[at + i] = (bell(x) * 16384 + (y & 16383)) * (isOutlier(x) ? outlier : usual);
  }
}

function fillF16(out: Uint16Array, { hash, index, at, length, scale }: Run): void {
  for (let i = 0; i < length; i++) {
    const x = mix(index + i, hash);
    const y = finalize(x ^ 0x85ebca6b);
    out[at + i] = halfBits(bell(x) * 4 + (y & 3), (isOutlier(x) ? scale + 4 : scale) - 15);
  }
}

/** float32 values whose low halves are zero: bfloat16 is the high half. */
function fillBF16(out: Float32Array, { hash, index, at, length, scale }: Run): void {
  const usual = 2 ** (scale - 13);
  const outlier = 2 ** (scale + 4 - 13);
  for (let i = 0; i < length; i++) {
    const x = mix(index + i, hash);
    const sum = bell(x);
    const mantissa = sum > 255 ? sum & ~1 : sum < -255 ? -(-sum & ~1) : sum;
    out[at + i] = mantissa * (isOutlier(x) ? outlier : usual);
  }
}

function highHalves(words: Uint32Array): Uint16Array {
  const halves = new Uint16Array(words.length);
  for (let at = 0; at < halves.length; at++) halves[at] = (words[at] ?? 0) >>> 16;
  return halves;
}

/** x mod 509 = 0 for the unsigned x, in small integers: 2^16 mod 509 is 384. */
function isOutlier(x: number): boolean {
  return (((x >>> 16) % 509) * 384 + (x & 0xffff)) % 509 === 0;
}

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

/** The word of an index in the tensor whose name hashes to `hash`, as a signed integer. */
function mix(index: number, hash: number): number {
  return finalize((Math.imul(index, GOLDEN_RATIO) + hash) | 0);
}

/** murmur3's 32-bit finalizer; the result is signed, because engines are quickest with small integers. */
function finalize(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** FNV-1a, 32 bit, of the UTF-8 bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return hash | 0;
}

/** 0x7F and 0xFF are NaN in float8_e4m3fn. */
function withoutNan(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ((byte & 0x7f) === 0x7f ? byte & 0xfe : byte));
}

function asBytes(array: Float32Array | Uint16Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
