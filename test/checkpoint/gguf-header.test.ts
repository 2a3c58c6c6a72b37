import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NeedMoreBytes } from "../../src/checkpoint/gguf-cursor.ts";
import { type GgufHeader, parseGgufHeader, readGgufHeader } from "../../src/checkpoint/gguf-header.ts";
import { CheckpointError } from "../../src/core/errors.ts";
import { type GoldenEntry, goldenEntry, goldenJson, goldenPath } from "../gguf/golden.ts";

interface Expected {
  readonly file: string;
  readonly version: number;
  readonly bigEndian: boolean;
  readonly alignment: number;
  readonly dataOffset: number;
  readonly metadata: readonly GoldenEntry[];
  readonly tensors: readonly {
    readonly name: string;
    readonly type: string;
    readonly dims: readonly number[];
    readonly offset: number;
    readonly bytes: number;
    readonly md5: string;
  }[];
}

interface Hostile {
  readonly name: string;
  readonly bytes: string;
  readonly accept: boolean;
}

const parse = (bytes: Uint8Array): GgufHeader =>
  parseGgufHeader(bytes, { name: "test.gguf", size: bytes.length });

describe("the GGUF header reader", () => {
  it.each(goldenJson<Expected[]>("files/expected.json"))("reads all of $file", (expected) => {
    const bytes = readFileSync(goldenPath(`files/${expected.file}`));
    const header = parse(bytes);
    expect(header).toMatchObject({
      version: expected.version,
      bigEndian: expected.bigEndian,
      alignment: expected.alignment,
      dataOffset: expected.dataOffset,
    });
    expect([...header.metadata].map(([key, value]) => goldenEntry(key, value))).toEqual(expected.metadata);
    expect(header.tensors).toHaveLength(expected.tensors.length);
    for (const [i, tensor] of header.tensors.entries()) {
      const { name, type, dims, offset, bytes: nbytes, md5 } = expected.tensors[i] ?? expect.fail();
      expect([tensor.name, tensor.type.name, [...tensor.shape].reverse()]).toEqual([name, type, dims]);
      expect([tensor.byteOffset, tensor.nbytes]).toEqual([header.dataOffset + offset, nbytes]);
      const data = bytes.subarray(tensor.byteOffset, tensor.byteOffset + tensor.nbytes);
      // Hashes of the big-endian file are over swapped words, which the header reader does not touch.
      if (!expected.bigEndian) expect(createHash("md5").update(data).digest("hex")).toBe(md5);
    }
  });

  it.each(goldenJson<Hostile[]>("files/hostile.json"))(
    "judges $name as it must: $accept",
    ({ bytes, accept }) => {
      const read = (): GgufHeader => parse(Buffer.from(bytes, "hex"));
      if (accept) expect(read().tensors).toBeDefined();
      else expect(read).toThrow(CheckpointError);
    },
  );

  it("asks for more bytes only while the header goes on", async () => {
    const bytes = readFileSync(goldenPath("files/kinds.gguf"));
    for (const length of [8, 100, 1500]) {
      const start = bytes.subarray(0, length);
      expect(() => parseGgufHeader(start, { name: "k", size: bytes.length })).toThrow(NeedMoreBytes);
    }
    const asked: number[] = [];
    const header = await readGgufHeader({
      name: "k",
      size: 2 ** 40,
      readStart: async (length) => {
        asked.push(length);
        return Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
      },
    });
    expect(header.tensors).toHaveLength(24);
    expect(asked).toEqual([2 ** 20]);
  });

  it("keeps strings that are no UTF-8 as bytes, and refuses such names", () => {
    const bytes = Buffer.from(readFileSync(goldenPath("files/split-00001-of-00003.gguf")));
    bytes[bytes.indexOf("split toy")] = 0xff;
    expect(parse(bytes).metadata.get("general.name")).toMatchObject({ value: expect.any(Uint8Array) });
    bytes[bytes.indexOf("blk.0.x")] = 0xff;
    expect(() => parse(bytes)).toThrow("not valid UTF-8");
  });

  it("answers any damage with an error of its own or a sound header", () => {
    const files = ["kinds.gguf", "split-00002-of-00003.gguf"].map((name) =>
      readFileSync(goldenPath(`files/${name}`)),
    );
    const damage = fc.array(fc.tuple(fc.nat(2100), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(fc.constantFrom(...files), damage, fc.nat(8000), (file, changes, cut) => {
        const bytes = Buffer.from(file.subarray(0, Math.max(file.length - cut, 0)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          for (const tensor of parse(bytes).tensors) {
            expect(tensor.byteOffset + tensor.nbytes).toBeLessThanOrEqual(bytes.length);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("allocates nothing for counts that the file cannot hold", () => {
    const huge = Buffer.from(readFileSync(goldenPath("files/kinds.gguf")));
    const before = process.memoryUsage().arrayBuffers;
    for (const at of [8, 16, 24]) {
      const bytes = Buffer.from(huge);
      bytes.writeBigUInt64LE(2n ** 40n, at);
      expect(() => parse(bytes)).toThrow(CheckpointError);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });
});
