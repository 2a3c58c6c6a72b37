/** Opcodes with their arguments, joined by {@link pickle}. */
export const op = {
  proto: (version = 2): Buffer => Buffer.from([0x80, version]),
  global: (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`),
  string: (text: string): Buffer =>
    Buffer.concat([Buffer.from("X"), u32(Buffer.byteLength(text)), Buffer.from(text)]),
  int: (value: number): Buffer => {
    const bytes = Buffer.from([0x4a, 0, 0, 0, 0]);
    bytes.writeInt32LE(value, 1);
    return bytes;
  },
  /** LONG1 from little-endian bytes in hex. */
  long: (hex: string): Buffer =>
    Buffer.concat([Buffer.from([0x8a, hex.length / 2]), Buffer.from(hex, "hex")]),
  float: (value: number): Buffer => {
    const bytes = Buffer.from("G........");
    bytes.writeDoubleBE(value, 1);
    return bytes;
  },
  none: Buffer.from("N") as Buffer,
  yes: Buffer.from([0x88]) as Buffer,
  no: Buffer.from([0x89]) as Buffer,
  mark: Buffer.from("(") as Buffer,
  tuple: Buffer.from("t") as Buffer,
  emptyTuple: Buffer.from(")") as Buffer,
  list: Buffer.from("]") as Buffer,
  dict: Buffer.from("}") as Buffer,
  setItem: Buffer.from("s") as Buffer,
  setItems: Buffer.from("u") as Buffer,
  appends: Buffer.from("e") as Buffer,
  reduce: Buffer.from("R") as Buffer,
  newObject: Buffer.from([0x81]) as Buffer,
  build: Buffer.from("b") as Buffer,
  persistentId: Buffer.from("Q") as Buffer,
  put: (slot: number): Buffer => Buffer.from([0x71, slot]),
  get: (slot: number): Buffer => Buffer.from([0x68, slot]),
  stop: Buffer.from(".") as Buffer,
};

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A whole pickle of protocol 2 around the given opcodes. */
export function pickle(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([op.proto(), ...parts, op.stop]);
}

export function tuple(...items: readonly Buffer[]): Buffer {
  return Buffer.concat([op.mark, ...items, op.tuple]);
}

export function ints(...values: readonly number[]): Buffer {
  return tuple(...values.map((value) => op.int(value)));
}

/** A dictionary of names to already pickled values. */
export function dict(members: Readonly<Record<string, Buffer>>): Buffer {
  const items = Object.entries(members).flatMap(([name, value]) => [op.string(name), value]);
  return Buffer.concat([op.dict, op.mark, ...items, op.setItems]);
}

export interface StorageFields {
  readonly type?: Buffer;
  readonly key?: string;
  readonly count: number;
  /** The sixth element of legacy files. */
  readonly view?: Buffer;
}

export function storage({ type, key = "0", count, view }: StorageFields): Buffer {
  const items = [
    op.string("storage"),
    type ?? op.global("torch", "FloatStorage"),
    op.string(key),
    op.string("cpu"),
  ];
  return Buffer.concat([tuple(...items, op.int(count), ...(view ? [view] : [])), op.persistentId]);
}

export interface TensorFields {
  readonly storage: Buffer;
  readonly offset?: number;
  readonly size: readonly number[];
  readonly stride: readonly number[];
}

/** A call of `torch._utils._rebuild_tensor_v2`. */
export function tensor({ storage, offset = 0, size, stride }: TensorFields): Buffer {
  const hooks = Buffer.concat([op.global("collections", "OrderedDict"), op.emptyTuple, op.reduce]);
  const args = tuple(storage, op.int(offset), ints(...size), ints(...stride), op.no, hooks);
  return Buffer.concat([op.global("torch._utils", "_rebuild_tensor_v2"), args, op.reduce]);
}
