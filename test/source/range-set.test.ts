import fc from "fast-check";
import { expect, test } from "vitest";
import { RangeSet } from "../../src/source/range-set.ts";

test("ranges behave as a set of byte numbers", () => {
  const edge = fc.integer({ min: 0, max: 40 });
  const step = fc.record({ remove: fc.boolean(), a: edge, b: edge });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const ranges = new RangeSet();
      const bytes = new Set<number>();
      for (const { remove, a, b } of steps) {
        if (remove) ranges.remove(a, b);
        else ranges.add(a, b);
        for (let i = a; i < b; i++) remove ? bytes.delete(i) : bytes.add(i);
      }
      const listed = ranges.list().flatMap(([a, b]) => Array.from({ length: b - a }, (_, i) => a + i));
      expect(listed).toEqual([...bytes].sort((a, b) => a - b));
      expect(ranges.nbytes).toBe(bytes.size);
      const gap = ranges.firstGap(40, 7);
      const first = Array.from({ length: 40 }, (_, i) => i).find((i) => !bytes.has(i));
      expect(gap?.[0]).toBe(first);
      if (gap) for (let i = gap[0]; i < gap[1]; i++) expect(bytes.has(i)).toBe(false);
    }),
  );
});
