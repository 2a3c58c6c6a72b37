import type { DType } from "../core/dtype.ts";
import type { PickleMeanings } from "./pickle-machine.ts";
import {
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PickleTuple,
  type PickleValue,
} from "./pickle-values.ts";

/** A block of elements in the file that tensors are views of. */
export class TorchStorage extends PickleObject {
  readonly kind = "storage";
  readonly key: string;
  /** `undefined` for untyped bytes. */
  readonly dtype: DType | undefined;
  /** Number of elements of the whole storage; of bytes if it is untyped. */
  readonly elements: number;
  /** The part of the storage that is meant, in elements. Only legacy files have parts. */
  readonly part: { readonly offset: number; readonly elements: number };

  constructor(fields: Pick<TorchStorage, "key" | "dtype" | "elements" | "part">) {
    super();
    this.key = fields.key;
    this.dtype = fields.dtype;
    this.elements = fields.elements;
    this.part = fields.part;
  }
}

/** A view of a storage: element (i0, i1, …) lies at element offset + Σ ik · stridek. */
export class TorchTensor extends PickleObject {
  readonly kind = "tensor";
  readonly storage: TorchStorage;
  readonly dtype: DType;
  /** In elements of `dtype`, from the start of the storage's part. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements, one an axis. */
  readonly strides: readonly number[];

  constructor(fields: Pick<TorchTensor, "storage" | "dtype" | "offset" | "shape" | "strides">) {
    super();
    this.storage = fields.storage;
    this.dtype = fields.dtype;
    this.offset = fields.offset;
    this.shape = fields.shape;
    this.strides = fields.strides;
  }
}

/** Something that is harmless and of no use here. */
class Opaque extends PickleObject {
  readonly kind = "opaque";
}

const STORAGES: ReadonlyMap<string, DType | undefined> = new Map<string, DType | undefined>([
  ["torch FloatStorage", "float32"],
  ["torch HalfStorage", "float16"],
  ["torch BFloat16Storage", "bfloat16"],
  ["torch DoubleStorage", "float64"],
  ["torch LongStorage", "int64"],
  ["torch IntStorage", "int32"],
  ["torch ShortStorage", "int16"],
  ["torch CharStorage", "int8"],
  ["torch ByteStorage", "uint8"],
  ["torch BoolStorage", "bool"],
  ["torch.storage UntypedStorage", undefined],
]);

const DTYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["torch float64", "float64"],
  ["torch float32", "float32"],
  ["torch float16", "float16"],
  ["torch bfloat16", "bfloat16"],
  ["torch float8_e4m3fn", "float8_e4m3fn"],
  ["torch float8_e5m2", "float8_e5m2"],
  ["torch float8_e4m3fnuz", "float8_e4m3fnuz"],
  ["torch float8_e5m2fnuz", "float8_e5m2fnuz"],
  ["torch float8_e8m0fnu", "float8_e8m0"],
  ["torch bool", "bool"],
  ["torch int8", "int8"],
  ["torch uint8", "uint8"],
  ["torch int16", "int16"],
  ["torch uint16", "uint16"],
  ["torch int32", "int32"],
  ["torch uint32", "uint32"],
  ["torch int64", "int64"],
  ["torch uint64", "uint64"],
]);

type Rebuild = (args: readonly PickleValue[]) => PickleValue | undefined;

const CALLS: ReadonlyMap<string, Rebuild> = new Map<string, Rebuild>([
  ["collections OrderedDict", orderedDict],
  [
    "torch._utils _rebuild_tensor",
    ([storage, offset, size, stride]) => tensor({ storage, offset, size, stride }),
  ],
  [
    "torch._utils _rebuild_tensor_v2",
    ([storage, offset, size, stride]) => tensor({ storage, offset, size, stride }),
  ],
  [
    "torch._utils _rebuild_tensor_v3",
    ([storage, offset, size, stride, _grad, _hooks, dtype]) =>
      tensor({ storage, offset, size, stride, dtype }),
  ],
  ["torch._utils _rebuild_parameter", ([data]) => onlyTensor(data)],
  ["torch._utils _rebuild_parameter_with_state", ([data]) => onlyTensor(data)],
  ["torch.nn.parameter Parameter", ([data]) => onlyTensor(data)],
  ["torch Size", ([items]) => (items instanceof PickleTuple ? items : undefined)],
  ["torch device", () => new Opaque()],
  ["torch.serialization _get_layout", () => new Opaque()],
]);

/** Gives meaning to the globals of formats.md §2.3, and keeps every storage that the pickle names. */
export class TorchMeanings implements PickleMeanings {
  readonly storages: TorchStorage[] = [];

  accepts(global: string): boolean {
    return CALLS.has(global) || STORAGES.has(global) || DTYPES.has(global);
  }

  call(callable: PickleGlobal, args: readonly PickleValue[]): PickleValue | undefined {
    return CALLS.get(callable.name)?.(args);
  }

  /** `("storage", type, key, location, element count[, view])`; the location is ignored. */
  persistent(id: PickleValue): PickleObject | undefined {
    if (!(id instanceof PickleTuple) || id.items.length < 5 || id.items.length > 6) return undefined;
    const [word, type, key, , elements, view] = id.items;
    if (word !== "storage" || typeof key !== "string" || !isCount(elements)) return undefined;
    if (!(type instanceof PickleGlobal) || !STORAGES.has(type.name)) return undefined;
    const part = partOf(view, elements);
    if (part === undefined) return undefined;
    const storage = new TorchStorage({ key, dtype: STORAGES.get(type.name), elements, part });
    this.storages.push(storage);
    return storage;
  }
}

/** A legacy file's view of a storage: `None` or `(view key, offset, view size)`, in elements. */
function partOf(view: PickleValue | undefined, elements: number): TorchStorage["part"] | undefined {
  if (view === undefined || view === null) return { offset: 0, elements };
  if (!(view instanceof PickleTuple)) return undefined;
  const [, offset, size] = view.items;
  if (!isCount(offset) || !isCount(size) || offset + size > elements) return undefined;
  return { offset, elements: size };
}

function orderedDict(args: readonly PickleValue[]): PickleDict | undefined {
  const dict = new PickleDict();
  const [pairs] = args;
  if (pairs === undefined) return dict;
  if (!(pairs instanceof PickleList)) return undefined;
  for (const pair of pairs.items) {
    const [key, value] = pair instanceof PickleList || pair instanceof PickleTuple ? pair.items : [];
    if (key === undefined || value === undefined) return undefined;
    dict.entries.set(key, value);
  }
  return dict;
}

function tensor(args: Readonly<Record<string, PickleValue | undefined>>): TorchTensor | undefined {
  const { storage, offset } = args;
  if (!(storage instanceof TorchStorage) || !isCount(offset)) return undefined;
  const shape = counts(args.size);
  const strides = counts(args.stride);
  const dtype = args.dtype instanceof PickleGlobal ? DTYPES.get(args.dtype.name) : storage.dtype;
  if (shape === undefined || strides?.length !== shape.length || dtype === undefined) return undefined;
  return new TorchTensor({ storage, dtype, offset, shape, strides });
}

function onlyTensor(value: PickleValue | undefined): TorchTensor | undefined {
  return value instanceof TorchTensor ? value : undefined;
}

/** A tuple of at most 64 axes, PyTorch's own limit. */
function counts(value: PickleValue | undefined): readonly number[] | undefined {
  if (!(value instanceof PickleTuple) || value.items.length > 64) return undefined;
  return value.items.every(isCount) ? value.items : undefined;
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
