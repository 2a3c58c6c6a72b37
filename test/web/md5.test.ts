import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";

const assets = new URL("../../assets/web/", import.meta.url);
const { md5Hex } = (await import(new URL("md5.js", assets).href)) as {
  md5Hex: (bytes: Uint8Array) => string;
};
interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
const { layOutTreemap } = (await import(new URL("treemap.js", assets).href)) as {
  layOutTreemap: (items: { size: number }[], box: Box) => (Box & { item: { size: number } })[];
};

describe("the page's MD5", () => {
  it("equals the platform's for every length around the block borders", () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 73 + length) & 255));
      expect(md5Hex(bytes), `${length} bytes`).toBe(createHash("md5").update(bytes).digest("hex"));
    }
  });

  it("equals the platform's for a view into a larger buffer", () => {
    const bytes = new Uint8Array(100_003).map((_, index) => (index * index) & 255).subarray(3);
    expect(md5Hex(bytes)).toBe(createHash("md5").update(bytes).digest("hex"));
  });
});

describe("the page's treemap", () => {
  const box = { x: 0, y: 0, width: 100, height: 50 };

  it("gives every item its share of the area, inside the box", () => {
    const items = Array.from({ length: 50 }, (_, index) => ({ size: (index + 1) ** 2 }));
    const total = items.reduce((sum, { size }) => sum + size, 0);
    const placed = layOutTreemap(items, box);
    expect(placed).toHaveLength(50);
    for (const { item, x, y, width, height } of placed) {
      expect(width * height).toBeCloseTo((item.size / total) * 5000, 6);
      expect(x >= 0 && y >= 0 && x + width <= 100.001 && y + height <= 50.001).toBe(true);
    }
  });

  it("leaves items without size out", () => {
    expect(layOutTreemap([{ size: 0 }], box)).toEqual([]);
  });
});
