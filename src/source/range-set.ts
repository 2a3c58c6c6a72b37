/** A half-open range of bytes `[start, end)`. */
export type ByteRange = readonly [start: number, end: number];

/** Disjoint, sorted ranges of bytes; touching ranges become one. */
export class RangeSet {
  private ranges: ByteRange[] = [];

  constructor(ranges: Iterable<ByteRange> = []) {
    for (const [start, end] of ranges) this.add(start, end);
  }

  /** How many bytes the ranges hold together. */
  get nbytes(): number {
    return this.ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  /** Where the range that begins at byte 0 ends; 0 if there is none. */
  get prefix(): number {
    const [first] = this.ranges;
    return first?.[0] === 0 ? first[1] : 0;
  }

  add(start: number, end: number): void {
    if (end <= start) return;
    const before = this.ranges.filter((range) => range[1] < start);
    const after = this.ranges.filter((range) => range[0] > end);
    const touched = this.ranges.slice(before.length, this.ranges.length - after.length);
    const low = Math.min(start, touched[0]?.[0] ?? start);
    const high = Math.max(end, touched.at(-1)?.[1] ?? end);
    this.ranges = [...before, [low, high], ...after];
  }

  remove(start: number, end: number): void {
    if (end <= start) return;
    this.ranges = this.ranges.flatMap(([low, high]): ByteRange[] => {
      const left: ByteRange = [low, Math.min(high, start)];
      const right: ByteRange = [Math.max(low, end), high];
      return [left, right].filter((range) => range[1] > range[0]);
    });
  }

  clear(): void {
    this.ranges = [];
  }

  /** The first range below `total` that is missing here, at most `longest` bytes of it. */
  firstGap(total: number, longest: number): ByteRange | undefined {
    const start = this.prefix;
    if (start >= total) return undefined;
    const next = this.ranges.find((range) => range[0] > start);
    return [start, Math.min(next?.[0] ?? total, start + longest, total)];
  }

  /** The ranges in order. */
  list(): readonly ByteRange[] {
    return this.ranges;
  }
}
