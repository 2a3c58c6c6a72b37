import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseWeightIndex } from "../../src/checkpoint/weight-index.ts";
import { CheckpointError } from "../../src/core/errors.ts";
import { failureOf } from "../support/failure-of.ts";

const parse = (text: string): ReturnType<typeof parseWeightIndex> =>
  parseWeightIndex(Buffer.from(text), "model.safetensors.index.json");
const map = (members: Record<string, unknown>): string => JSON.stringify({ weight_map: members });

describe("an index", () => {
  it("keeps the order of names, also of names that look like numbers, and each file once", () => {
    const index = parse(
      '{"metadata":{"total_size":1e99},"weight_map":{"b":"x/2.safetensors","10":"1","2":"x/2.safetensors"}}',
    );
    expect([...index.weightMap]).toEqual([
      ["b", "x/2.safetensors"],
      ["10", "1"],
      ["2", "x/2.safetensors"],
    ]);
    expect(index.fileNames).toEqual(["x/2.safetensors", "1"]);
  });

  it.each(["/etc/passwd", "../a", "a/../../b", "a\\b", "c:a", "./a", "a//b", "", ".", "a\u0000b", "a/"])(
    "is refused when it names the file %j",
    async (name) => {
      const error = await failureOf(() => parse(map({ w: "fine", v: name })));
      expect(error.code).toBe("E_INDEX_PATH");
      expect(error.message).toContain(JSON.stringify(name));
      expect(error.message).not.toContain("fine");
    },
  );

  it.each([
    ["no JSON", "{", "E_INDEX_SYNTAX", /line 1, column 2/],
    ["a list", "[]", "E_INDEX_SYNTAX", /expected a JSON object/],
    ["no weight_map", "{}", "E_INDEX_SYNTAX", /"weight_map"/],
    ["a number as a file", map({ w: 1 }), "E_INDEX_SYNTAX", /expected a file name for every tensor/],
    ["a name that occurs twice", '{"weight_map":{"w":"a","w":"b"}}', "E_INDEX_SYNTAX", /duplicate key "w"/],
    [
      "weight_map twice",
      '{"weight_map":{"w":"a"},"weight_map":{}}',
      "E_INDEX_SYNTAX",
      /duplicate key "weight_map"/,
    ],
    ["no tensors", map({}), "E_EMPTY_CHECKPOINT", /found none/],
  ])("is refused when it is or has %s", async (_, text, code, message) => {
    const error = await failureOf(() => parse(text));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain("model.safetensors.index.json");
  });

  it("of any bytes is read or refused, never anything else", () => {
    const good = Buffer.from(map({ a: "x.safetensors", b: "y.safetensors" }));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), (place, byte) => {
        const bytes = Buffer.from(good);
        bytes[place] = byte;
        try {
          expect(parseWeightIndex(bytes, "i").weightMap.size).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
