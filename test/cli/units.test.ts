import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatSeconds, formatWhole } from "../../src/cli/units.ts";

describe("numbers for people", () => {
  it("group whole numbers by thousands", () => {
    const numbers = [0, 7, 999, 1000, 65_536, 123_456, 1_235_814_400, Number.MAX_SAFE_INTEGER];
    expect(numbers.map(formatWhole)).toEqual(numbers.map((number) => number.toLocaleString("en-US")));
  });

  it("say one thing and several", () => {
    expect([0, 1, 2].map((count) => formatCount(count, "shard"))).toEqual([
      "0 shards",
      "1 shard",
      "2 shards",
    ]);
  });

  it("choose a unit for bytes and for seconds", () => {
    expect([512, 2048, 5 * 2 ** 20].map(formatBytes)).toEqual(["512 B", "2.00 KiB", "5.00 MiB"]);
    expect([0.416, 12.34, 65.2].map(formatSeconds)).toEqual(["0.42 s", "12.3 s", "1 min 5 s"]);
  });
});
