import type { CheckpointError } from "../core/errors.ts";
import { PickleCursor } from "./pickle-cursor.ts";
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

const STOP = 0x2e;
const MAX_STACK = 10_000;
const MAX_MEMO = 10_000_000;
/** Objects weigh more than the bytes that make them; a state dict makes nine for each tensor. */
const MAX_OBJECTS = 2_000_000;

/**
 * Reads one pickle by the subset of formats.md §2.3. Nothing is executed or looked up: a global is a name, and a call
 * is answered by `meanings` or refused.
 *
 * @param bytes may be longer than the pickle
 * @param where for messages, which name the position in bytes
 * @returns the value and the position behind STOP
 * @throws {CheckpointError} `E_PICKLE_REFUSED` for anything outside the subset, `E_PICKLE_CORRUPT` for anything broken
 * @throws {CheckpointError} `PickleEnded` if the bytes end before STOP
 */
export function readPickle(
  bytes: Uint8Array,
  meanings: PickleMeanings,
  place: { readonly where: string; readonly start?: number },
): { readonly value: PickleValue; readonly end: number } {
  return new Machine(new PickleCursor(bytes, place), meanings).run();
}

class Machine {
  private stack: PickleValue[] = [];
  private readonly marked: PickleValue[][] = [];
  private depth = 0;
  private objects = 0;
  private readonly memo = new Map<number, PickleValue>();
  private readonly meanings: PickleMeanings;
  private readonly cursor: PickleCursor;

  constructor(cursor: PickleCursor, meanings: PickleMeanings) {
    this.cursor = cursor;
    this.meanings = meanings;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      const opcode = this.cursor.opcode();
      if (opcode === STOP) return { value: this.pop(), end: this.cursor.position };
      const execute = OPCODES.get(opcode);
      if (execute === undefined) throw this.unknownOpcode(opcode);
      execute(this, this.cursor);
    }
  }

  push(value: PickleValue): void {
    if (++this.depth > MAX_STACK) throw this.cursor.corrupt(`the stack grows beyond ${MAX_STACK} values`);
    this.stack.push(value);
  }

  /** Pushes a value that was newly made, and counts it. */
  pushNew(value: PickleValue): void {
    this.count(1);
    this.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined) throw this.cursor.corrupt("it takes a value from an empty stack");
    this.depth--;
    return value;
  }

  top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined) throw this.cursor.corrupt("it looks at a value of an empty stack");
    return value;
  }

  mark(): void {
    if (++this.depth > MAX_STACK) throw this.cursor.corrupt(`the stack grows beyond ${MAX_STACK} values`);
    this.marked.push(this.stack);
    this.stack = [];
  }

  popToMark(): PickleValue[] {
    const below = this.marked.pop();
    if (below === undefined) throw this.cursor.corrupt("it looks for a mark that was not set");
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
    if (this.memo.size >= MAX_MEMO) throw this.cursor.corrupt(`it remembers more than ${MAX_MEMO} values`);
    this.memo.set(slot, this.top());
  }

  get(slot: number): void {
    const value = this.memo.get(slot);
    if (value === undefined) throw this.cursor.corrupt(`it reads memo slot ${slot}, which is not set`);
    this.push(value);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!(list instanceof PickleList)) throw this.cursor.corrupt("it appends to something that is no list");
    this.count(items.length);
    for (const item of items) list.items.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict))
      throw this.cursor.corrupt("it sets items of something that is no dictionary");
    if (items.length % 2 !== 0) throw this.cursor.corrupt("a dictionary has a key without a value");
    this.count(items.length / 2);
    for (let index = 0; index < items.length; index += 2) {
      dict.entries.set(items[index] ?? null, items[index + 1] ?? null);
    }
  }

  global(): void {
    const name = `${this.cursor.line()} ${this.cursor.line()}`;
    if (!this.meanings.accepts(name)) {
      throw this.cursor.refused(
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
      throw this.cursor.corrupt("it calls something that is no function, or without a tuple of arguments");
    }
    const result = this.meanings.call(callable, args.items);
    if (result === undefined) {
      throw this.cursor.refused(`it calls ${callable.name.replace(" ", ".")} with arguments that do not fit`);
    }
    this.pushNew(result);
  }

  /** Sets attributes in Python; on an ordered dictionary they are bookkeeping such as `_metadata`. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof PickleDict))
      throw this.cursor.refused("it sets the state of something that is no dictionary");
  }

  persistent(): void {
    const object = this.meanings.persistent(this.pop());
    if (object === undefined)
      throw this.cursor.refused("it names something outside the file that is no storage of this file");
    this.pushNew(object);
  }

  protocol(): void {
    const version = this.cursor.u8();
    if (version > 5) throw this.cursor.corrupt(`expected pickle protocol 2, found ${version}`);
  }

  private count(objects: number): void {
    this.objects += objects;
    if (this.objects > MAX_OBJECTS) throw this.cursor.corrupt(`it makes more than ${MAX_OBJECTS} objects`);
  }

  private unknownOpcode(opcode: number): CheckpointError {
    const hex = `0x${opcode.toString(16).padStart(2, "0")}`;
    return this.cursor.refused(`expected an opcode of protocol 2 as PyTorch writes it, found ${hex}`);
  }
}

type Opcode = (machine: Machine, cursor: PickleCursor) => void;

const OPCODES: ReadonlyMap<number, Opcode> = new Map<number, Opcode>([
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
  [0x4a, (m, c) => m.push(c.i32())],
  [0x4b, (m, c) => m.push(c.u8())],
  [0x4d, (m, c) => m.push(c.u16())],
  [0x47, (m, c) => m.push(c.f64())],
  [0x58, (m, c) => m.push(c.string(c.u32()))],
  [0x55, (m, c) => m.push(c.string(c.u8()))],
  [0x51, (m) => m.persistent()],
  [0x68, (m, c) => m.get(c.u8())],
  [0x6a, (m, c) => m.get(c.u32())],
  [0x71, (m, c) => m.put(c.u8())],
  [0x72, (m, c) => m.put(c.u32())],
  [0x8a, (m, c) => m.push(c.long(c.u8()))],
]);
