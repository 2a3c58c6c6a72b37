import { CheckpointError } from "../core/errors.ts";
import {
  PickleDict,
  PickleGlobal,
  PickleList,
  type PickleObject,
  PickleTuple,
  type PickleValue,
} from "./pickle-values.ts";

/** What a pickle's names mean; everything the machine does not know itself is asked here. */
export interface PickleMeanings {
  /** True if `module name` may be named at all. */
  accepts(global: string): boolean;
  /** The result of calling `callable`; `undefined` refuses. */
  call(callable: PickleGlobal, args: readonly PickleValue[]): PickleValue | undefined;
  /** The object behind a persistent id; `undefined` refuses. */
  persistent(id: PickleValue): PickleObject | undefined;
}

const MAX_STACK = 10_000;
const MAX_MEMO = 10_000_000;
/** Objects weigh more than the bytes that make them; a state dict makes nine for each tensor. */
const MAX_OBJECTS = 2_000_000;

/** Thrown inside when the bytes end before the pickle does. */
export class PickleEnded extends CheckpointError {}

/**
 * Reads one pickle by the subset of formats.md §2.3. Nothing is executed or looked up: a global is a name, and a call
 * is answered by `meanings` or refused.
 *
 * @param bytes may be longer than the pickle
 * @param where for messages, which name the position in bytes
 * @returns the value and the position behind STOP
 * @throws {CheckpointError} `E_PICKLE_REFUSED` for anything outside the subset, `E_PICKLE_CORRUPT` for anything broken
 * @throws {PickleEnded} if the bytes end before STOP
 */
export function readPickle(
  bytes: Uint8Array,
  meanings: PickleMeanings,
  place: { readonly where: string; readonly start?: number },
): { readonly value: PickleValue; readonly end: number } {
  return new Machine(bytes, meanings, place).run();
}

class Machine {
  private at: number;
  /** Position of the opcode being carried out. */
  private opcodeAt = 0;
  private stack: PickleValue[] = [];
  private readonly marked: PickleValue[][] = [];
  private depth = 0;
  private objects = 0;
  private readonly memo = new Map<number, PickleValue>();
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly meanings: PickleMeanings;
  private readonly where: string;
  private readonly text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(
    bytes: Uint8Array,
    meanings: PickleMeanings,
    place: { readonly where: string; readonly start?: number },
  ) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.meanings = meanings;
    this.where = place.where;
    this.at = place.start ?? 0;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      this.opcodeAt = this.at;
      const opcode = this.u8();
      if (opcode === 0x2e) return { value: this.pop(), end: this.at };
      const execute = OPCODES.get(opcode);
      if (execute === undefined) throw this.unknownOpcode(opcode);
      execute(this);
    }
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  /** The one big-endian number of the format. */
  f64(): number {
    return this.view.getFloat64(this.take(8), false);
  }

  string(length: number): string {
    const start = this.take(length);
    try {
      return this.text.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw this.corrupt("a string is not UTF-8");
    }
  }

  /** Little-endian two's complement of any length. */
  long(length: number): number | bigint {
    const start = this.take(length);
    let value = 0n;
    for (let index = length - 1; index >= 0; index--)
      value = (value << 8n) | BigInt(this.bytes[start + index] ?? 0);
    const signed = length === 0 ? 0n : BigInt.asIntN(length * 8, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  push(value: PickleValue): void {
    if (++this.depth > MAX_STACK) throw this.corrupt(`the stack grows beyond ${MAX_STACK} values`);
    this.stack.push(value);
  }

  /** Pushes a value that was newly made, and counts it. */
  pushNew(value: PickleValue): void {
    this.count(1);
    this.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined) throw this.corrupt("it takes a value from an empty stack");
    this.depth--;
    return value;
  }

  top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined) throw this.corrupt("it looks at a value of an empty stack");
    return value;
  }

  mark(): void {
    if (++this.depth > MAX_STACK) throw this.corrupt(`the stack grows beyond ${MAX_STACK} values`);
    this.marked.push(this.stack);
    this.stack = [];
  }

  popToMark(): PickleValue[] {
    const below = this.marked.pop();
    if (below === undefined) throw this.corrupt("it looks for a mark that was not set");
    const items = this.stack;
    this.stack = below;
    this.depth -= items.length + 1;
    return items;
  }

  popTuple(length: number): void {
    const items: PickleValue[] = [];
    for (let index = 0; index < length; index++) items.unshift(this.pop());
    this.pushNew(new PickleTuple(items));
  }

  put(slot: number): void {
    if (this.memo.size >= MAX_MEMO) throw this.corrupt(`it remembers more than ${MAX_MEMO} values`);
    this.memo.set(slot, this.top());
  }

  get(slot: number): void {
    const value = this.memo.get(slot);
    if (value === undefined) throw this.corrupt(`it reads memo slot ${slot}, which is not set`);
    this.push(value);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!(list instanceof PickleList)) throw this.corrupt("it appends to something that is no list");
    this.count(items.length);
    for (const item of items) list.items.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict)) throw this.corrupt("it sets items of something that is no dictionary");
    if (items.length % 2 !== 0) throw this.corrupt("a dictionary has a key without a value");
    this.count(items.length / 2);
    for (let index = 0; index < items.length; index += 2) {
      dict.entries.set(items[index] ?? null, items[index + 1] ?? null);
    }
  }

  global(): void {
    const name = `${this.line()} ${this.line()}`;
    if (!this.meanings.accepts(name)) {
      throw this.refused(
        `it wants to run code: ${JSON.stringify(name.replace(" ", "."))} is not part of a state dict`,
        "Do not load this file elsewhere unless you trust its origin; use a safetensors version of the model.",
      );
    }
    this.pushNew(new PickleGlobal(name));
  }

  call(): void {
    const args = this.pop();
    const callable = this.pop();
    if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) {
      throw this.corrupt("it calls something that is no function, or without a tuple of arguments");
    }
    const result = this.meanings.call(callable, args.items);
    if (result === undefined) {
      throw this.refused(`it calls ${callable.name.replace(" ", ".")} with arguments that do not fit`);
    }
    this.pushNew(result);
  }

  /** Sets attributes in Python; on an ordered dictionary they are bookkeeping such as `_metadata`. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof PickleDict))
      throw this.refused("it sets the state of something that is no dictionary");
  }

  persistent(): void {
    const object = this.meanings.persistent(this.pop());
    if (object === undefined)
      throw this.refused("it names something outside the file that is no storage of this file");
    this.pushNew(object);
  }

  protocol(): void {
    const version = this.u8();
    if (version > 5) throw this.corrupt(`expected pickle protocol 2, found ${version}`);
  }

  private count(objects: number): void {
    this.objects += objects;
    if (this.objects > MAX_OBJECTS) throw this.corrupt(`it makes more than ${MAX_OBJECTS} objects`);
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.ended();
    if (end - this.at > 256) throw this.corrupt("the name of a global is longer than 256 bytes");
    const line = this.string(end - this.at);
    this.at = end + 1;
    return line;
  }

  /** Moves on by `length` bytes and returns where they start. */
  private take(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start) throw this.ended();
    this.at = start + length;
    return start;
  }

  private unknownOpcode(opcode: number): CheckpointError {
    const hex = `0x${opcode.toString(16).padStart(2, "0")}`;
    return this.refused(`expected an opcode of protocol 2 as PyTorch writes it, found ${hex}`);
  }

  private refused(problem: string, hint?: string): CheckpointError {
    return new CheckpointError("E_PICKLE_REFUSED", this.describe(problem), {
      hint: hint ?? "Load the file with a PyTorch that you trust and save its state dict as safetensors.",
    });
  }

  private corrupt(problem: string): CheckpointError {
    return new CheckpointError("E_PICKLE_CORRUPT", this.describe(problem), {
      hint: "Fetch the file again; its pickle is damaged.",
    });
  }

  private ended(): PickleEnded {
    return new PickleEnded("E_PICKLE_CORRUPT", this.describe("the pickle ends without STOP"), {
      hint: "Fetch the file again; it is cut off.",
    });
  }

  private describe(problem: string): string {
    return `${this.where}: ${problem} (pickle, byte ${this.opcodeAt})`;
  }
}

const OPCODES: ReadonlyMap<number, (machine: Machine) => void> = new Map<number, (machine: Machine) => void>([
  [0x80, (m) => m.protocol()],
  [0x63, (m) => m.global()],
  [0x81, (m) => m.call()],
  [0x52, (m) => m.call()],
  [0x62, (m) => m.build()],
  [0x61, (m) => m.append([m.pop()])],
  [0x65, (m) => m.append(m.popToMark())],
  [
    0x73,
    (m) => {
      const value = m.pop();
      m.setItems([m.pop(), value]);
    },
  ],
  [0x75, (m) => m.setItems(m.popToMark())],
  [0x28, (m) => m.mark()],
  [0x74, (m) => m.pushNew(new PickleTuple(m.popToMark()))],
  [0x85, (m) => m.popTuple(1)],
  [0x86, (m) => m.popTuple(2)],
  [0x87, (m) => m.popTuple(3)],
  [0x4e, (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [0x29, (m) => m.pushNew(new PickleTuple([]))],
  [0x5d, (m) => m.pushNew(new PickleList())],
  [0x7d, (m) => m.pushNew(new PickleDict())],
  [0x8f, (m) => m.pushNew(new PickleList())],
  [0x4a, (m) => m.push(m.i32())],
  [0x4b, (m) => m.push(m.u8())],
  [0x4d, (m) => m.push(m.u16())],
  [0x47, (m) => m.push(m.f64())],
  [0x58, (m) => m.push(m.string(m.u32()))],
  [0x55, (m) => m.push(m.string(m.u8()))],
  [0x51, (m) => m.persistent()],
  [0x68, (m) => m.get(m.u8())],
  [0x6a, (m) => m.get(m.u32())],
  [0x71, (m) => m.put(m.u8())],
  [0x72, (m) => m.put(m.u32())],
  [0x8a, (m) => m.push(m.long(m.u8()))],
]);
