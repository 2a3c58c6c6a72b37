import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTorchFile } from "../../src/checkpoint/torch-file.ts";
import { CheckpointError } from "../../src/core/errors.ts";
import { failureOf } from "../support/failure-of.ts";
import { dict, ints, op, pickle, storage, tensor, tuple } from "../support/pickle-writer.ts";
import { memorySource } from "../support/safetensors.ts";
import { type WrittenEntry, type ZipOptions, zipFile } from "../support/zip-writer.ts";

const read = (bytes: Uint8Array): ReturnType<typeof readTorchFile> =>
  readTorchFile(memorySource(bytes), "m.bin");

/** An archive of one pickle and the storages "0", "1", … of these sizes in bytes. */
function archive(object: Buffer, sizes: readonly number[] = [], options: ZipOptions = {}): Buffer {
  const entries = sizes.map(
    (size, key): WrittenEntry => ({ name: `m/data/${key}`, content: Buffer.alloc(size), padding: 7 * key }),
  );
  return zipFile([{ name: "m/data.pkl", content: pickle(object) }, ...entries], options);
}

const whole = tensor({ storage: storage({ count: 6 }), size: [2, 3], stride: [3, 1] });

const MAGIC = "6cfc9c46f9206aa85019";
const system = (little: Buffer): Buffer => pickle(dict({ little_endian: little }));
function legacy(
  object: Buffer,
  keys: readonly string[],
  storages: readonly Buffer[],
  little: Buffer = op.yes,
): Buffer {
  const list = Buffer.concat([op.list, op.mark, ...keys.map((key) => op.string(key)), op.appends]);
  const head = [pickle(op.long(MAGIC)), pickle(op.int(1001)), system(little), pickle(object), pickle(list)];
  return Buffer.concat([...head, ...storages]);
}
function counted(count: number, bytes: number): Buffer {
  const stored = Buffer.alloc(8 + bytes);
  stored.writeBigInt64LE(BigInt(count));
  return stored;
}

describe("a zip container", () => {
  it("places a tensor behind the local header of its storage", async () => {
    const { tensors } = await read(archive(dict({ w: whole }), [24]));
    const [w] = tensors;
    expect(w).toMatchObject({ name: "w", dtype: "float32", shape: [2, 3], nbytes: 24 });
    expect(w).not.toHaveProperty("strides");
    const start = archive(dict({ w: whole }), [24]).indexOf("m/data/0") + "m/data/0".length;
    expect(w?.byteOffset).toBe(start);
  });

  it("keeps transposed, expanded, sliced and shared views apart, in the dictionary's order", async () => {
    const shared = { count: 12 };
    const object = dict({
      transposed: tensor({ storage: storage(shared), size: [3, 2], stride: [1, 3] }),
      expanded: tensor({ storage: storage(shared), offset: 2, size: [4, 3], stride: [0, 1] }),
      rows: tensor({ storage: storage(shared), offset: 6, size: [2, 3], stride: [3, 1] }),
      one: tensor({ storage: storage(shared), offset: 11, size: [1, 1], stride: [99, 99] }),
      scalar: tensor({ storage: storage(shared), offset: 1, size: [], stride: [] }),
    });
    const { tensors } = await read(archive(object, [48]));
    const start = (tensors[4]?.byteOffset ?? 0) - 4;
    expect(
      tensors.map(({ name, strides, byteOffset, nbytes }) => [name, strides, byteOffset - start, nbytes]),
    ).toEqual([
      ["transposed", [1, 3], 0, 24],
      ["expanded", [0, 1], 8, 12],
      ["rows", undefined, 24, 24],
      ["one", undefined, 44, 4],
      ["scalar", undefined, 4, 4],
    ]);
  });

  it("knows every storage type", async () => {
    const types = { Half: 2, BFloat16: 2, Double: 8, Long: 8, Int: 4, Short: 2, Char: 1, Byte: 1, Bool: 1 };
    const found: string[] = [];
    for (const [name, size] of Object.entries(types)) {
      const of = storage({ type: op.global("torch", `${name}Storage`), count: 3 });
      const { tensors } = await read(
        archive(dict({ w: tensor({ storage: of, size: [3], stride: [1] }) }), [3 * size]),
      );
      found.push(tensors[0]?.dtype ?? "none");
    }
    expect(found).toEqual([
      "float16",
      "bfloat16",
      "float64",
      "int64",
      "int32",
      "int16",
      "int8",
      "uint8",
      "bool",
    ]);
  });

  it("takes parameters, ordered dictionaries with state, and untyped storages with a dtype", async () => {
    const parameter = Buffer.concat([
      op.global("torch._utils", "_rebuild_parameter"),
      tuple(whole, op.yes, op.none),
      op.reduce,
    ]);
    const wrapped = Buffer.concat([
      op.global("torch.nn.parameter", "Parameter"),
      tuple(whole, op.no),
      op.newObject,
    ]);
    const untyped = storage({ type: op.global("torch.storage", "UntypedStorage"), key: "1", count: 4 });
    const v3 = Buffer.concat([
      op.global("torch._utils", "_rebuild_tensor_v3"),
      tuple(untyped, op.int(0), ints(4), ints(1), op.no, op.none, op.global("torch", "float8_e4m3fn")),
      op.reduce,
    ]);
    const object = Buffer.concat([
      op.global("collections", "OrderedDict"),
      op.emptyTuple,
      op.reduce,
      op.put(1),
      op.mark,
      ...[op.string("p"), parameter, op.string("q"), wrapped, op.string("r"), v3],
      op.setItems,
      dict({ _metadata: op.get(1) }),
      op.build,
    ]);
    const { tensors } = await read(archive(object, [24, 4]));
    expect(tensors.map(({ name, dtype }) => [name, dtype])).toEqual([
      ["p", "float32"],
      ["q", "float32"],
      ["r", "float8_e4m3fn"],
    ]);
  });

  it("may hold empty storages, None, ZIP64 records and a comment", async () => {
    const none = tensor({ storage: storage({ count: 0, key: "9" }), size: [0, 4], stride: [4, 1] });
    const object = dict({ w: whole, empty: none, nothing: op.none });
    const content = await read(archive(object, [24], { zip64: true, comment: "made by hand" }));
    expect(content.tensors.map(({ name, nbytes }) => [name, nbytes])).toEqual([
      ["w", 24],
      ["empty", 0],
    ]);
    expect(content.empty).toEqual(["nothing"]);
    expect(content.notices).toEqual(["m.bin: skipped 1 names that hold None: nothing"]);
  });

  const good = pickle(dict({ w: whole }));
  const data = { name: "m/data/0", content: Buffer.alloc(24) };
  const refused: readonly (readonly [string, readonly WrittenEntry[], string, RegExp])[] = [
    [
      "a compressed storage",
      [
        { name: "m/data.pkl", content: good },
        { ...data, method: 8 },
      ],
      "E_ZIP_COMPRESSED",
      /method 8/,
    ],
    [
      "a compressed pickle",
      [{ name: "m/data.pkl", content: good, method: 8 }, data],
      "E_ZIP_COMPRESSED",
      /data\.pkl/,
    ],
    [
      "a bomb",
      [{ name: "m/data.pkl", content: good, method: 8, size: 2 ** 31 }, data],
      "E_ZIP_CORRUPT",
      /at most 268435456/,
    ],
    [
      "a stored entry of two sizes",
      [
        { name: "m/data.pkl", content: good },
        { ...data, content: Buffer.alloc(20), size: 24 },
      ],
      "E_ZIP_CORRUPT",
      /expected 24 bytes, found 20 stored/,
    ],
    [
      "an encrypted entry",
      [
        { name: "m/data.pkl", content: good },
        { ...data, flags: 1 },
      ],
      "E_ZIP_ENCRYPTED",
      /data\/0/,
    ],
    [
      "a wrong checksum",
      [{ name: "m/data.pkl", content: good, crc: 7 }, data],
      "E_ZIP_CORRUPT",
      /expected CRC-32 00000007/,
    ],
    [
      "a name that occurs twice",
      [{ name: "m/data.pkl", content: good }, data, data],
      "E_ZIP_CORRUPT",
      /occurs twice/,
    ],
    [
      "a missing storage",
      [{ name: "m/data.pkl", content: good }],
      "E_TORCH_STORAGE",
      /expected 24 bytes in m\/data\/0/,
    ],
    [
      "a storage of another size",
      [
        { name: "m/data.pkl", content: good },
        { ...data, content: Buffer.alloc(20) },
      ],
      "E_TORCH_STORAGE",
      /expected 24 bytes in m\/data\/0, found 20/,
    ],
    [
      "entries that overlap",
      [
        { name: "m/data.pkl", content: good },
        { ...data, headerOffset: 10 },
      ],
      "E_ZIP_CORRUPT",
      /overlap what follows/,
    ],
    [
      "an entry whose header is another's",
      [
        { name: "m/data.pkl", content: good },
        { ...data, localName: "m/data/1" },
      ],
      "E_ZIP_CORRUPT",
      /expected its own header/,
    ],
    [
      "TorchScript",
      [{ name: "m/data.pkl", content: good }, { name: "m/constants.pkl", content: good }, data],
      "E_TORCH_CONTAINER",
      /TorchScript/,
    ],
    ["no pickle", [data], "E_TORCH_CONTAINER", /data\.pkl/],
    [
      "two pickles",
      [
        { name: "a/data.pkl", content: good },
        { name: "b/data.pkl", content: good },
      ],
      "E_TORCH_CONTAINER",
      /one/,
    ],
    [
      "big-endian bytes",
      [{ name: "m/data.pkl", content: good }, { name: "m/byteorder", content: Buffer.from("big") }, data],
      "E_TORCH_BYTE_ORDER",
      /found "big"/,
    ],
  ];
  it.each(refused)("is refused with %s", async (_, entries, code, message) => {
    const error = await failureOf(() => read(zipFile(entries)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain("m.bin");
  });

  it("is refused when cut off anywhere", async () => {
    const bytes = archive(dict({ w: whole }), [24], { zip64: true });
    for (let length = 4; length < bytes.length; length += 5) {
      expect((await failureOf(() => read(bytes.subarray(0, length)))).code).toBe("E_ZIP_TRUNCATED");
    }
  });

  const views: readonly (readonly [string, number, readonly number[], readonly number[]])[] = [
    ["an offset beyond its storage", 1, [2, 3], [3, 1]],
    ["strides beyond its storage", 0, [2, 3], [4, 1]],
    ["more rows than its storage", 0, [3, 3], [3, 1]],
    ["strides that overflow", 0, [2 ** 31 - 1, 2 ** 31 - 1], [2 ** 31 - 1, 1]],
    ["extents that overflow", 0, [2 ** 31 - 1, 2 ** 31 - 1], [0, 0]],
  ];
  it.each(views)("is refused when a tensor has %s", async (_, offset, size, stride) => {
    const object = dict({ w: tensor({ storage: storage({ count: 6 }), offset, size, stride }) });
    const error = await failureOf(() => read(archive(object, [24])));
    expect(error.code).toBe("E_TORCH_STORAGE");
    expect(error.message).toMatch(/w: expected a view inside the 6 elements of storage 0, found offset/);
  });
});

describe("a pickle is refused", () => {
  const refused: readonly (readonly [string, Buffer, RegExp])[] = [
    [
      "that names os.system",
      Buffer.concat([op.global("os", "system"), tuple(op.string("true")), op.reduce]),
      /"os\.system".*byte 2/,
    ],
    ["that names builtins.eval", op.global("builtins", "eval"), /"builtins\.eval"/],
    [
      "that names a class of a library",
      op.global("transformers.modeling", "Model"),
      /"transformers\.modeling\.Model"/,
    ],
    [
      "that names a sparse rebuild",
      op.global("torch._utils", "_rebuild_sparse_tensor"),
      /_rebuild_sparse_tensor/,
    ],
    ["that frames as protocol 4 does", Buffer.from("9500000000", "hex"), /found 0x95 \(pickle, byte 2\)/],
    ["that looks names up from the stack", Buffer.from([0x93]), /found 0x93/],
    ["that instantiates by the old opcode", Buffer.from("(ios\nsystem\n"), /found 0x69/],
    [
      "that names a storage outside the file",
      Buffer.concat([op.string("elsewhere"), op.persistentId]),
      /outside the file/,
    ],
    [
      "that calls with the wrong arguments",
      Buffer.concat([op.global("torch._utils", "_rebuild_tensor_v2"), ints(1), op.reduce]),
      /do not fit/,
    ],
    ["that sets the state of a tensor", Buffer.concat([whole, op.dict, op.build]), /no dictionary/],
  ];
  it.each(refused)("%s, and nothing of it runs", async (_, object, message) => {
    const error = await failureOf(() => read(archive(object, [24])));
    expect(error.code).toBe("E_PICKLE_REFUSED");
    expect(error.message).toMatch(message);
  });

  const corrupt: readonly (readonly [string, Buffer, RegExp])[] = [
    ["that takes from an empty stack", op.setItem, /empty stack \(pickle, byte 2\)/],
    ["that reads an unset memo slot", op.get(5), /memo slot 5/],
    ["that has no mark", op.tuple, /mark that was not set/],
    [
      "with a key without a value",
      Buffer.concat([op.dict, op.mark, op.none, op.setItems]),
      /key without a value/,
    ],
    ["that appends to a tuple", Buffer.concat([op.emptyTuple, op.none, Buffer.from("a")]), /no list/],
    ["that calls a number", Buffer.concat([op.int(1), op.emptyTuple, op.reduce]), /no function/],
    ["with a string beyond its end", Buffer.from("58ffffff7f", "hex"), /ends without STOP/],
    ["with text that is not UTF-8", Buffer.from("5501ff", "hex"), /not UTF-8/],
    ["whose stack grows without bound", Buffer.alloc(10_001, "N"), /beyond 10000 values/],
    ["whose marks grow without bound", Buffer.alloc(10_001, "("), /beyond 10000 values/],
    [
      "that makes objects without bound",
      Buffer.concat([op.list, Buffer.alloc(2_000_000, "]a")]),
      /more than 2000000 objects/,
    ],
  ];
  it.each(corrupt)("%s", async (_, object, message) => {
    const error = await failureOf(() => read(archive(object, [24])));
    expect(error.code).toBe("E_PICKLE_CORRUPT");
    expect(error.message).toMatch(message);
  });

  const shapes: readonly (readonly [string, Buffer, RegExp])[] = [
    ["that is a list", op.list, /expected a dictionary of tensors, found a list/],
    ["that is a tensor", whole, /found a tensor/],
    [
      "that nests the state dict",
      dict({ state_dict: dict({ w: whole }) }),
      /state_dict: expected a tensor, found a dictionary/,
    ],
    ["that holds a number", dict({ epoch: op.int(3) }), /epoch: expected a tensor, found a number/],
    ["that holds a float", dict({ loss: op.float(0.5) }), /loss: expected a tensor, found a number/],
    [
      "whose keys are numbers",
      Buffer.concat([op.dict, op.int(1), op.none, op.setItem]),
      /expected names as keys, found a number/,
    ],
  ];
  it.each(shapes)("%s", async (_, object, message) => {
    const error = await failureOf(() => read(archive(object, [24])));
    expect(error.code).toBe("E_TORCH_STATE_DICT");
    expect(error.message).toMatch(message);
  });
});

describe("a legacy container", () => {
  const root = (key: string, view?: Buffer): Buffer => storage({ key, count: 6, ...(view && { view }) });
  const object = dict({
    b: tensor({ storage: root("77", op.none), size: [2, 3], stride: [3, 1] }),
    a: tensor({
      storage: root("5", tuple(op.string("6"), op.int(2), op.int(4))),
      offset: 1,
      size: [3],
      stride: [1],
    }),
  });
  const storages = [counted(6, 24), counted(6, 24)];

  it("places storages in the order of the key list, and views inside them", async () => {
    const bytes = legacy(object, ["5", "77"], storages);
    const { tensors, notices } = await read(bytes);
    expect(tensors.map(({ name, byteOffset }) => [name, byteOffset - bytes.length])).toEqual([
      ["b", -24],
      ["a", -32 - 24 + 12],
    ]);
    expect(notices).toEqual([]);
  });

  it("reads pickles that are longer than the first read", async () => {
    const long = dict({
      ["x".repeat(1_100_000)]: op.none,
      b: tensor({ storage: root("0", op.none), size: [6], stride: [1] }),
    });
    const { tensors } = await read(legacy(long, ["0"], [counted(6, 24)]));
    expect(tensors).toMatchObject([{ name: "b", nbytes: 24 }]);
  });

  it("tells of bytes behind its end", async () => {
    const { notices } = await read(
      Buffer.concat([legacy(object, ["5", "77"], storages), Buffer.from("abc")]),
    );
    expect(notices).toEqual(["m.bin: 3 bytes behind the last storage are ignored."]);
  });

  it("is refused when cut off anywhere", async () => {
    const bytes = legacy(object, ["5", "77"], storages);
    for (let length = 15; length < bytes.length; length += 3) {
      expect((await failureOf(() => read(bytes.subarray(0, length)))).code).toMatch(
        /^E_(PICKLE_CORRUPT|TORCH_TRUNCATED)$/,
      );
    }
  });

  const outside = tuple(op.string("6"), op.int(4), op.int(4));
  const refused: readonly (readonly [string, Buffer, string, RegExp])[] = [
    [
      "a count that differs",
      legacy(object, ["5", "77"], [counted(5, 24), counted(6, 24)]),
      "E_TORCH_STORAGE",
      /expected 6 elements at \d+, found 5/,
    ],
    [
      "a storage that is not listed",
      legacy(object, ["5"], storages),
      "E_TORCH_STORAGE",
      /storage 77: expected in the file/,
    ],
    [
      "a listed storage that is not used",
      legacy(object, ["5", "9", "77"], storages),
      "E_TORCH_STORAGE",
      /storage 9/,
    ],
    [
      "a storage that is listed twice",
      legacy(object, ["5", "5"], storages),
      "E_TORCH_STORAGE",
      /listed once/,
    ],
    ["big-endian bytes", legacy(object, ["5", "77"], storages, op.no), "E_TORCH_BYTE_ORDER", /little_endian/],
    [
      "a view outside its storage",
      legacy(dict({ a: tensor({ storage: root("5", outside), size: [1], stride: [1] }) }), ["5"], storages),
      "E_PICKLE_REFUSED",
      /no storage of this file/,
    ],
    [
      "one key under two types",
      legacy(
        dict({
          a: tensor({ storage: root("5"), size: [1], stride: [1] }),
          b: tensor({
            storage: storage({ type: op.global("torch", "DoubleStorage"), key: "5", count: 6 }),
            size: [1],
            stride: [1],
          }),
        }),
        ["5"],
        storages,
      ),
      "E_TORCH_STORAGE",
      /expected one type and one size/,
    ],
    [
      "another protocol",
      Buffer.concat([
        pickle(op.long(MAGIC)),
        pickle(op.int(1002)),
        system(op.yes),
        pickle(op.dict),
        pickle(op.list),
      ]),
      "E_TORCH_CONTAINER",
      /protocol 1001/,
    ],
  ];
  it.each(refused)("is refused with %s", async (_, bytes, code, message) => {
    const error = await failureOf(() => read(bytes));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe("any other file", () => {
  it("is refused, and a tar archive is named", async () => {
    const tar = Buffer.alloc(1024);
    tar.write("ustar", 257);
    expect((await failureOf(() => read(tar))).message).toContain("a tar archive");
    expect((await failureOf(() => read(Buffer.from("hello")))).code).toBe("E_TORCH_CONTAINER");
  });

  it("that differs from a good one at some bytes is read or refused, never anything else", async () => {
    const object = dict({
      w: whole,
      t: tensor({ storage: storage({ count: 6 }), size: [3, 2], stride: [1, 3] }),
    });
    const seeds = [
      archive(object, [24]),
      archive(object, [24], { zip64: true }),
      legacy(object, ["0"], [counted(6, 24)]),
    ];
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), changes, async (seed, list) => {
        const bytes = Buffer.from(seed);
        for (const [place, byte] of list) bytes[place % bytes.length] = byte;
        try {
          const { tensors } = await read(bytes);
          for (const { byteOffset, nbytes } of tensors)
            expect(byteOffset + nbytes).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
