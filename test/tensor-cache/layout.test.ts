import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layOut, SHARD_CAP_BYTES, storedBytes, type TensorRecord } from "../../src/tensor-cache/layout.ts";

const MIB = 2 ** 20;
const record = (nbytes: number, name = "t"): TensorRecord => ({
  name,
  shape: [nbytes],
  dtype: "float8_e4m3fn",
});
/** Shards as lists of tensor indices. */
const packed = (sizes: readonly number[]): number[][] =>
  layOut(sizes.map((nbytes) => record(nbytes))).shards.map(({ tensors }) =>
    tensors.map(({ tensor }) => tensor),
  );

describe("the packing rule", () => {
  it("closes a shard before a tensor that would fill it", () => {
    expect(packed([10 * MIB, 10 * MIB, 12 * MIB])).toEqual([[0, 1], [2]]);
    expect(packed([10 * MIB, 10 * MIB, 12 * MIB - 1])).toEqual([[0, 1, 2]]);
  });

  it("writes a tensor of half the cap or more alone and ahead of what is pending, if it does not fit", () => {
    expect(packed([20 * MIB, 16 * MIB, 4 * MIB])).toEqual([[1], [0, 2]]);
    expect(packed([20 * MIB, 16 * MIB - 1, 4 * MIB])).toEqual([[0], [1, 2]]);
    expect(packed([4 * MIB, 100 * MIB, 4 * MIB])).toEqual([[1], [0, 2]]);
  });

  it("stores float32 in two bytes an element", () => {
    expect(storedBytes({ name: "t", shape: [3, 5], dtype: "float32" })).toBe(30);
  });

  it("places every tensor once, without holes, in files counted from 0, below the cap unless alone", () => {
    const sizes = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 4 * MIB }), fc.integer({ min: 1, max: 80 * MIB })),
    );
    fc.assert(
      fc.property(sizes, (list) => {
        const { shards, nbytes } = layOut(list.map((size) => record(size)));
        const seen = shards.flatMap(({ tensors }) => tensors.map(({ tensor }) => tensor));
        expect([...seen].sort((a, b) => a - b)).toEqual(list.map((_, at) => at));
        expect(nbytes).toBe(list.reduce((sum, size) => sum + size, 0));
        shards.forEach((shard, at) => {
          expect(shard.path).toBe(`params_shard_${at}.bin`);
          let end = 0;
          for (const { tensor, byteOffset, nbytes: size } of shard.tensors) {
            expect([byteOffset, size]).toEqual([end, list[tensor]]);
            end += size;
          }
          expect(end).toBe(shard.nbytes);
          if (shard.tensors.length > 1) expect(shard.nbytes).toBeLessThan(SHARD_CAP_BYTES);
        });
      }),
    );
  });
});
