import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSafetensorsHeader, readSafetensorsHeader } from "../../src/checkpoint/safetensors-header.ts";
import { CheckpointError } from "../../src/core/errors.ts";
import { failureOf } from "../support/failure-of.ts";
import { memorySource, safetensorsFile } from "../support/safetensors.ts";

type Entry = Readonly<Record<string, unknown>>;
const entry = (dtype: string, shape: unknown, ...offsets: unknown[]): Entry => ({
  dtype,
  shape,
  data_offsets: offsets,
});
const read = (bytes: Uint8Array): ReturnType<typeof readSafetensorsHeader> =>
  readSafetensorsHeader(memorySource(bytes), "m.safetensors");
const readHeader = (header: unknown, dataBytes: number): ReturnType<typeof readSafetensorsHeader> =>
  read(safetensorsFile(header, dataBytes));

describe("a valid header", () => {
  it("gives the tensors in data order, offsets counted from the start of the file", async () => {
    const header = {
      __metadata__: { format: "pt", other: null },
      b: entry("F32", [2, 3], 2, 26),
      a: entry("BF16", [], 0, 2),
    };
    const start = 8 + Buffer.byteLength(JSON.stringify(header));
    expect(await readHeader(header, 26)).toEqual([
      { name: "a", dtype: "bfloat16", shape: [], byteOffset: start, nbytes: 2 },
      { name: "b", dtype: "float32", shape: [2, 3], byteOffset: start + 2, nbytes: 24 },
    ]);
  });

  it.each([
    ["F64", "float64", 8],
    ["F32", "float32", 4],
    ["F16", "float16", 2],
    ["BF16", "bfloat16", 2],
    ["F8_E4M3", "float8_e4m3fn", 1],
    ["F8_E5M2", "float8_e5m2", 1],
    ["F8_E8M0", "float8_e8m0", 1],
    ["F8_E4M3FNUZ", "float8_e4m3fnuz", 1],
    ["F8_E5M2FNUZ", "float8_e5m2fnuz", 1],
    ["F4", "float4", 0.5],
    ["F6_E2M3", "float6_e2m3", 0.75],
    ["F6_E3M2", "float6_e3m2", 0.75],
    ["BOOL", "bool", 1],
    ["U8", "uint8", 1],
    ["I8", "int8", 1],
    ["I16", "int16", 2],
    ["U16", "uint16", 2],
    ["I32", "int32", 4],
    ["U32", "uint32", 4],
    ["I64", "int64", 8],
    ["U64", "uint64", 8],
    ["C64", "complex64", 8],
  ])("knows %s as %s of %d bytes", async (name, dtype, bytes) => {
    const [tensor] = await readHeader({ t: entry(name, [2, 4], 0, bytes * 8) }, bytes * 8);
    expect(tensor).toMatchObject({ dtype, nbytes: bytes * 8 });
  });

  it("may have spaces and line breaks around and inside, unknown fields and escaped names", async () => {
    const text = `\n { "a\\u00e9\\n" : { "extra" : [ { "x" : [ null , true , -1.5e3 , "s" ] } , [ ] , { } ] ,
      "shape" : [ 2 , 1 ] , "data_offsets" : [ 0 , 8 ] , "dtype" : "F32" } } \t\n`;
    expect(await readHeader(text, 8)).toMatchObject([{ name: "a\u00e9\n", shape: [2, 1] }]);
  });

  it("may hold tensors without elements, any number at one offset, and none at all", async () => {
    const header = { a: entry("F32", [0, 4], 0, 0), b: entry("F32", [0], 0, 0), c: entry("U8", [1], 0, 1) };
    expect((await readHeader(header, 1)).map((tensor) => tensor.name)).toEqual(["a", "b", "c"]);
    expect(await readHeader({}, 0)).toEqual([]);
  });

  it("takes one read if it is short, two if it is long", async () => {
    const short = memorySource(safetensorsFile({ a: entry("U8", [200_000], 0, 200_000) }, 200_000));
    await readSafetensorsHeader(short, "m");
    expect(short.reads).toEqual([[0, 100_000]]);
    const text = `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`.padEnd(150_000);
    const long = memorySource(safetensorsFile(text, 1));
    await readSafetensorsHeader(long, "m");
    expect(long.reads).toEqual([
      [0, 100_000],
      [100_000, 150_008],
    ]);
  });
});

describe("a hostile or damaged header is refused:", () => {
  const cases: readonly (readonly [string, unknown, number, string, RegExp])[] = [
    [
      "a hole before the first tensor",
      { a: entry("U8", [1], 1, 2) },
      2,
      "LAYOUT",
      /a leaves a hole behind the start/,
    ],
    [
      "a hole between tensors",
      { a: entry("U8", [1], 0, 1), b: entry("U8", [1], 2, 3) },
      3,
      "LAYOUT",
      /b leaves a hole behind a: expected it to start at 1, found 2/,
    ],
    [
      "overlapping tensors",
      { a: entry("U8", [2], 0, 2), b: entry("U8", [2], 1, 3) },
      3,
      "LAYOUT",
      /b overlaps a: expected it to start at 2, found 1/,
    ],
    ["data that is cut off", { a: entry("U8", [4], 0, 4) }, 3, "TRUNCATED", /1 bytes are missing/],
    ["trailing bytes", { a: entry("U8", [4], 0, 4) }, 7, "LAYOUT", /3 bytes trail/],
    ["offsets in the wrong order", { a: entry("U8", [1], 1, 0) }, 1, "LAYOUT", /begin <= end, found/],
    [
      "a wrong number of bytes",
      { a: entry("F32", [3], 0, 8) },
      8,
      "LAYOUT",
      /F32 \[3\] takes 12 bytes, found 8/,
    ],
    ["half a byte of elements", { a: entry("F4", [3], 0, 2) }, 2, "LAYOUT", /no whole number of bytes/],
    [
      "a product beyond 2^53",
      { a: entry("U8", [2 ** 30, 2 ** 30, 2 ** 30], 0, 4) },
      4,
      "LAYOUT",
      /below 2\^53/,
    ],
    ["an unknown dtype", { a: entry("F7", [1], 0, 1) }, 1, "DTYPE", /found "F7"/],
    ["a negative extent", { a: entry("U8", [-1], 0, 1) }, 1, "HEADER", /found -1/],
    ["a float extent", `{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}`, 1, "HEADER", /found 1\.0/],
    [
      "an extent beyond 2^53",
      `{"a":{"dtype":"U8","shape":[9007199254740992],"data_offsets":[0,1]}}`,
      1,
      "HEADER",
      /2\^53/,
    ],
    ["one offset", { a: entry("U8", [1], 0) }, 1, "HEADER", /expected two data_offsets, found 1/],
    ["three offsets", { a: entry("U8", [1], 0, 1, 2) }, 1, "HEADER", /expected two data_offsets, found 3/],
    ["no dtype", { a: { shape: [1], data_offsets: [0, 1] } }, 1, "HEADER", /expected a field "dtype"/],
    ["no shape", { a: { dtype: "U8", data_offsets: [0, 1] } }, 1, "HEADER", /expected a field "shape"/],
    ["no offsets", { a: { dtype: "U8", shape: [1] } }, 1, "HEADER", /expected a field "data_offsets"/],
    ["a shape that is no array", { a: entry("U8", 1, 0, 1) }, 1, "HEADER", /expected "\["/],
    [
      "a field that occurs twice",
      `{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
      1,
      "HEADER",
      /twice/,
    ],
    [
      "a name that occurs twice",
      `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
      1,
      "HEADER",
      /"a" occurs twice/,
    ],
    [
      "a name that occurs twice, once escaped",
      `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
      1,
      "HEADER",
      /"a" occurs twice/,
    ],
    [
      "__metadata__ that occurs twice",
      `{"__metadata__":{},"__metadata__":{}}`,
      0,
      "HEADER",
      /"__metadata__" occurs twice/,
    ],
    [
      "__metadata__ with a number",
      { __metadata__: { a: 1 } },
      0,
      "HEADER",
      /expected a string as the value of "a"/,
    ],
    [
      "__metadata__ that looks like a tensor",
      { __metadata__: entry("U8", [1], 0, 1) },
      1,
      "HEADER",
      /__metadata__/,
    ],
    ["an array", "[]", 0, "HEADER", /expected "\{"/],
    ["nothing", "", 0, "HEADER", /found the end/],
    ["a byte order mark", "\ufeff{}", 0, "HEADER", /expected "\{"/],
    ["zeros behind it", "{}\0\0", 0, "HEADER", /expected the end of the header/],
    [
      "half a surrogate pair",
      `{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
      0,
      "HEADER",
      /surrogate/,
    ],
    ["a bad escape", `{"\\q":{}}`, 0, "HEADER", /valid escapes/],
    ["a control character in a name", `{"a\nb":{}}`, 0, "HEADER", /control characters/],
    ["deep nesting", `{"a":{"x":${"[".repeat(100_000)}`, 0, "HEADER", /levels of nesting/],
    ["more axes than PyTorch knows", { a: entry("U8", Array(65).fill(1), 0, 1) }, 1, "HEADER", /at most 64/],
  ];

  it.each(cases)("%s", async (_, header, dataBytes, code, message) => {
    const error = await failureOf(() => readHeader(header, dataBytes));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.code).toBe(`E_SAFETENSORS_${code}`);
    expect(error.message).toMatch(message);
    expect(error.message).toContain("m.safetensors");
  });

  it("a file shorter than the length", async () => {
    expect((await failureOf(() => read(new Uint8Array(7)))).message).toContain("at least 8 bytes, found 7");
  });

  it("a length above the limit, before anything more is read", async () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(100_000_001n);
    const source = { ...memorySource(bytes), size: 2 ** 40, read: async () => bytes };
    const error = await failureOf(() => readSafetensorsHeader({ ...source, size: 8 }, "m"));
    expect(error.message).toContain("at most 100000000 bytes, found 100000001");
  });

  it("a length beyond the file, telling how much is missing", async () => {
    const bytes = Buffer.alloc(108);
    bytes.writeBigUInt64LE(99_999_999n);
    expect((await failureOf(() => read(bytes))).message).toContain("99999899 are missing");
  });

  it("text that is not UTF-8", async () => {
    const bytes = Buffer.from(safetensorsFile(`{"a":0}`, 0));
    bytes[10] = 0xff;
    expect((await failureOf(() => read(bytes))).message).toContain("UTF-8");
  });

  it("a source that gives fewer bytes than it has", async () => {
    const error = await failureOf(() =>
      readSafetensorsHeader({ size: 50, read: async () => new Uint8Array(3) }, "m"),
    );
    expect(error.message).toContain("the file has shrunk");
  });
});

describe("any header", () => {
  const dtypes = ["F64", "F32", "F16", "BF16", "U8", "I64"] as const;
  const sizes = { F64: 8, F32: 4, F16: 2, BF16: 2, U8: 1, I64: 8 } as const;
  const tensors = fc.uniqueArray(
    fc.record({
      name: fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__"),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 10 }),
    }),
    { selector: (tensor) => tensor.name, maxLength: 8 },
  );
  const layout = (
    list: readonly { name: string; dtype: keyof typeof sizes; shape: number[] }[],
  ): [string, number] => {
    let end = 0;
    const members = list.map(({ name, dtype, shape }) => {
      const begin = end;
      end += sizes[dtype] * shape.reduce((product, extent) => product * extent, 1);
      return `${JSON.stringify(name)}:${JSON.stringify(entry(dtype, shape, begin, end))}`;
    });
    return [`{${members.join(",")}}`, end];
  };

  it("that a writer makes is read back, compact or spaced", () => {
    fc.assert(
      fc.property(tensors, fc.boolean(), (list, spaced) => {
        const [text, bytes] = layout(list);
        const written = spaced ? JSON.stringify(JSON.parse(text), null, 2) : text;
        const header = Buffer.from(written);
        const found = parseSafetensorsHeader(header, bytes, "m");
        expect(new Map(found.map((tensor) => [tensor.name, tensor.shape]))).toEqual(
          new Map(list.map((tensor) => [tensor.name, tensor.shape])),
        );
      }),
      { numRuns: 200 },
    );
  });

  it("that was changed at one place is read or refused, never anything else", () => {
    fc.assert(
      fc.property(tensors, fc.nat(), fc.integer({ min: 0, max: 255 }), (list, place, byte) => {
        const [text, bytes] = layout(list);
        const header = Buffer.from(text);
        header[place % header.length] = byte;
        try {
          const found = parseSafetensorsHeader(header, bytes, "m");
          const end = found.reduce((sum, tensor) => sum + tensor.nbytes, 0);
          expect(end).toBe(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("of random bytes is refused as a checkpoint error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect(await failureOf(() => read(bytes))).toBeInstanceOf(CheckpointError);
      }),
      { numRuns: 200 },
    );
  });

  it("of 90 000 tensors takes less than a second of one core, however busy the machine", () => {
    const members: string[] = [];
    for (let i = 0; i < 90_000; i++) {
      const name = `model.layers.${i % 61}.mlp.experts.${i}.down_proj.weight_scale_inv`;
      members.push(
        `"${name}":{"dtype":"F8_E4M3","shape":[7168,2048],"data_offsets":[${i * 14680064},${(i + 1) * 14680064}]}`,
      );
    }
    const header = Buffer.from(`{${members.join(",")}}`);
    const milliseconds = [0, 1, 2].map(() => {
      const start = process.cpuUsage();
      expect(parseSafetensorsHeader(header, 90_000 * 14680064, "m")).toHaveLength(90_000);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    });
    expect(Math.min(...milliseconds)).toBeLessThan(1000);
  });
});
