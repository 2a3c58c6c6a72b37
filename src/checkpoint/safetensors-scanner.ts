import { CheckpointError } from "../core/errors.ts";

/** One entry of a safetensors header as written, not yet checked against the file. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Range in the data buffer, bytes. */
  readonly begin: number;
  readonly end: number;
}

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const INTEGER = /^(?:0|[1-9]\d*)$/;
const WORD = /true|false|null/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** What is not taken as it stands by the quick path. */
const UNUSUAL = /[\\\u0000-\u001f]/;
const ZERO = "0".charCodeAt(0);
const COMMA = ",".charCodeAt(0);
const CLOSING = "]".charCodeAt(0);
const USUAL_DTYPE = /^[A-Z0-9_]+$/;

/** Unknown fields may nest; nobody nests them deeper. */
const MAX_DEPTH = 32;
/** PyTorch's own limit. */
const MAX_RANK = 64;

/**
 * Reads a safetensors header (formats.md §1.1, §1.2). Nothing is built but the entries themselves, so memory stays in
 * proportion to the tensors, whatever else the text holds.
 *
 * @param text the header, decoded from UTF-8
 * @param where file name for messages
 * @throws {CheckpointError} `E_SAFETENSORS_HEADER` with the character position
 */
export function scanSafetensorsHeader(text: string, where: string): HeaderEntry[] {
  return new Scanner(text, where).header();
}

class Scanner {
  private at = 0;
  /** Reused, because most of the time would go into arrays that have room to grow. */
  private readonly scratch: number[] = [];
  private readonly text: string;
  private readonly where: string;

  constructor(text: string, where: string) {
    this.text = text;
    this.where = where;
  }

  header(): HeaderEntry[] {
    const entries = new Map<string, HeaderEntry>();
    let metadata = false;
    this.space();
    this.members(() => {
      const start = this.at;
      const entry = this.usualEntry() ?? this.entry();
      if (entry === undefined ? metadata : entries.has(entry.name)) {
        this.at = start;
        throw this.error(`the name ${JSON.stringify(entry?.name ?? "__metadata__")} occurs twice`);
      }
      if (entry === undefined) metadata = true;
      else entries.set(entry.name, entry);
    });
    this.space();
    if (this.at < this.text.length) throw this.error("expected the end of the header, found more text");
    return [...entries.values()];
  }

  /**
   * An entry exactly as the known writers write it: compact, fields in this order. Several times as quick as the
   * general path, which takes over for anything else.
   */
  private usualEntry(): HeaderEntry | undefined {
    const { text } = this;
    const nameEnd = text.indexOf('"', this.at + 1);
    if (!text.startsWith('":{"dtype":"', nameEnd)) return undefined;
    const name = text.slice(this.at + 1, nameEnd);
    const dtypeEnd = text.indexOf('"', nameEnd + 12);
    const dtype = text.slice(nameEnd + 12, dtypeEnd);
    if (!text.startsWith('","shape":[', dtypeEnd) || !USUAL_DTYPE.test(dtype)) return undefined;
    if (text[this.at] !== '"' || UNUSUAL.test(name) || name === "__metadata__") return undefined;
    const shapeEnd = this.usualIntegers(dtypeEnd + 11);
    if (!text.startsWith(',"data_offsets":[', shapeEnd)) return undefined;
    const shape = this.scratch.slice();
    const end = this.usualIntegers(shapeEnd + 17);
    const [first, last] = this.scratch;
    if (text[end] !== "}" || this.scratch.length !== 2 || first === undefined || last === undefined)
      return undefined;
    this.at = end + 1;
    return { name, dtype, shape, begin: first, end: last };
  }

  /** Reads the integers from `at` to `]` into `scratch` and returns where that ends; -1 if they are not plain and few. */
  private usualIntegers(at: number): number {
    const values = this.scratch;
    values.length = 0;
    let next = at;
    if (this.text.charCodeAt(next) === CLOSING) return next + 1;
    while (values.length < 8) {
      const start = next;
      let value = 0;
      for (;;) {
        const digit = this.text.charCodeAt(next) - ZERO;
        if (!(digit >= 0 && digit <= 9)) break;
        value = value * 10 + digit;
        next++;
      }
      const digits = next - start;
      if (digits === 0 || digits > 15 || (digits > 1 && this.text.charCodeAt(start) === ZERO)) return -1;
      values.push(value);
      const separator = this.text.charCodeAt(next++);
      if (separator === CLOSING) return next;
      if (separator !== COMMA) return -1;
    }
    return -1;
  }

  /** One `"name": {…}`; `undefined` for `__metadata__`, which is no tensor. */
  private entry(): HeaderEntry | undefined {
    const name = this.key();
    if (name === "__metadata__") {
      this.metadata();
      return undefined;
    }
    const fields = this.fields(name);
    const { dtype, shape, offsets } = fields;
    if (dtype === undefined) throw this.error(`${name}: expected a field "dtype", found none`);
    if (shape === undefined) throw this.error(`${name}: expected a field "shape", found none`);
    if (offsets === undefined) throw this.error(`${name}: expected a field "data_offsets", found none`);
    const [begin, end, ...rest] = offsets;
    if (begin === undefined || end === undefined || rest.length > 0) {
      throw this.error(`${name}: expected two data_offsets, found ${offsets.length}`);
    }
    return { name, dtype, shape, begin, end };
  }

  private fields(name: string): { dtype?: string; shape?: number[]; offsets?: number[] } {
    const fields: { dtype?: string; shape?: number[]; offsets?: number[] } = {};
    this.members(() => {
      const field = this.key();
      if (field === "dtype") {
        if (fields.dtype !== undefined) throw this.error(`${name}: the field "dtype" occurs twice`);
        fields.dtype = this.string();
      } else if (field === "shape") {
        if (fields.shape !== undefined) throw this.error(`${name}: the field "shape" occurs twice`);
        fields.shape = this.integers(name, "shape");
      } else if (field === "data_offsets") {
        if (fields.offsets !== undefined) throw this.error(`${name}: the field "data_offsets" occurs twice`);
        fields.offsets = this.integers(name, "data_offsets");
      } else this.skip(0);
    });
    return fields;
  }

  private metadata(): void {
    this.members(() => {
      const key = this.key();
      if (this.text[this.at] === '"') this.string();
      else if (this.text.startsWith("null", this.at)) this.at += 4;
      else throw this.error(`__metadata__: expected a string as the value of ${JSON.stringify(key)}`);
    });
  }

  /** Calls `member` at every member of an object, from `{` to `}`. */
  private members(member: () => void): void {
    this.expect("{");
    this.space();
    if (this.take("}")) return;
    for (;;) {
      member();
      this.space();
      if (this.take("}")) return;
      this.expect(",");
      this.space();
    }
  }

  private key(): string {
    const key = this.string();
    this.space();
    this.expect(":");
    this.space();
    return key;
  }

  private integers(name: string, field: string): number[] {
    const values: number[] = [];
    this.expect("[");
    this.space();
    if (this.take("]")) return values;
    for (;;) {
      const text = this.number();
      const value = Number(text);
      if (!INTEGER.test(text) || !Number.isSafeInteger(value)) {
        throw this.error(`${name}: expected integers from 0 to 2^53 - 1 in ${field}, found ${text}`);
      }
      if (values.push(value) > MAX_RANK) {
        throw this.error(`${name}: expected at most ${MAX_RANK} values in ${field}`);
      }
      this.space();
      if (this.take("]")) return values;
      this.expect(",");
      this.space();
    }
  }

  private number(): string {
    NUMBER.lastIndex = this.at;
    if (!NUMBER.test(this.text)) throw this.error("expected a number");
    const text = this.text.slice(this.at, NUMBER.lastIndex);
    this.at = NUMBER.lastIndex;
    return text;
  }

  private string(): string {
    const start = this.at;
    this.expect('"');
    for (;;) {
      PLAIN.lastIndex = this.at;
      PLAIN.test(this.text);
      this.at = PLAIN.lastIndex;
      if (this.take('"')) break;
      if (!this.take("\\")) throw this.error("expected a string that ends and holds no control characters");
      this.at++;
    }
    return this.decode(start);
  }

  /** The string literal from `start` to here. */
  private decode(start: number): string {
    const literal = this.text.slice(start, this.at);
    if (!literal.includes("\\")) return literal.slice(1, -1);
    let value: string;
    try {
      value = JSON.parse(literal) as string;
    } catch {
      throw this.error("expected a string with valid escapes");
    }
    if (LONE_SURROGATE.test(value)) throw this.error("expected Unicode text, found half of a surrogate pair");
    return value;
  }

  private skip(depth: number): void {
    if (depth > MAX_DEPTH) throw this.error(`expected at most ${MAX_DEPTH} levels of nesting`);
    const first = this.text[this.at];
    if (first === '"') this.string();
    else if (first === "{") {
      this.members(() => {
        this.key();
        this.skip(depth + 1);
      });
    } else if (first === "[") this.skipArray(depth);
    else {
      WORD.lastIndex = this.at;
      if (WORD.test(this.text)) this.at = WORD.lastIndex;
      else this.number();
    }
  }

  private skipArray(depth: number): void {
    this.expect("[");
    this.space();
    if (this.take("]")) return;
    for (;;) {
      this.skip(depth + 1);
      this.space();
      if (this.take("]")) return;
      this.expect(",");
      this.space();
    }
  }

  private space(): void {
    SPACE.lastIndex = this.at;
    SPACE.test(this.text);
    this.at = SPACE.lastIndex;
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private expect(character: string): void {
    if (this.take(character)) return;
    const found = this.text[this.at];
    throw this.error(
      `expected "${character}", found ${found === undefined ? "the end" : JSON.stringify(found)}`,
    );
  }

  private error(problem: string): CheckpointError {
    return new CheckpointError(
      "E_SAFETENSORS_HEADER",
      `${this.where}: ${problem} (character ${this.at} of the header)`,
      { hint: "Fetch the file again; it is no valid safetensors file." },
    );
  }
}
