/** Parameters of the rotary scaling that Llama 3.1 introduced. */
export interface Llama3Rope {
  readonly theta: number;
  /** Rotated elements of a head. */
  readonly dims: number;
  readonly factor: number;
  readonly low: number;
  readonly high: number;
  /** Context length before scaling. */
  readonly original: number;
}

/** Wavelength of frequency `i` of `dims / 2`, in tokens, in float32. */
export function ropeWavelength({ theta, dims }: Pick<Llama3Rope, "theta" | "dims">, i: number): number {
  const f = Math.fround;
  return f((2 * Math.PI) / f(1 / f(theta ** f((2 * i) / dims))));
}

/** What each rotary frequency is divided by, float32 throughout (gguf.md, section 4, rope_freqs). */
export function llama3RopeFactors(rope: Llama3Rope): Float32Array {
  const f = Math.fround;
  const { factor, low, high, original } = rope;
  return Float32Array.from({ length: rope.dims / 2 }, (_, i) => {
    const wavelength = ropeWavelength(rope, i);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = f(f(f(original / wavelength) - low) / (high - low));
    return f(1 / f(f(f(1 - smooth) / factor) + smooth));
  });
}
