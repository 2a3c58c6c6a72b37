/**
 * JSON as the reference converter reads and writes it: integers and floats stay apart, key order is kept,
 * big integers survive, and text comes out exactly as Python's `json.dumps` writes it (formats.md §6.3).
 */

/** A number that was written with a point or an exponent, or `NaN`, `Infinity`. Integers are plain numbers. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Integers are `number` when safe and `bigint` beyond ±(2^53 − 1); floats are {@link Float}. */
export type Json = null | boolean | string | number | bigint | Float | JsonArray | JsonObject;
export type JsonArray = readonly Json[];
/** A `Map`, because plain objects reorder keys that look like integers. */
export type JsonObject = ReadonlyMap<string, Json>;

export interface ParseOptions {
  /** `"last-wins"`: value of the last at the position of the first, as Python. Default `"refuse"`. */
  readonly duplicates?: "refuse" | "last-wins";
  /** Deepest nesting accepted; default 128. */
  readonly maxDepth?: number;
}

/** Where and why a text is no JSON. */
export class JsonSyntaxError extends Error {
  readonly line: number;
  readonly column: number;
  constructor(problem: string, text: string, offset: number) {
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    super(`${problem} at line ${line}, column ${column}`);
    this.name = "JsonSyntaxError";
    this.line = line;
    this.column = column;
  }
}

/** True for a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

/** True for a JSON array. */
export function isArray(value: Json | undefined): value is JsonArray {
  return Array.isArray(value);
}

/** The numeric value of an integer or float; `undefined` for anything else. */
export function toNumber(value: Json | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/**
 * Parses one JSON document. Accepts the literals `NaN`, `Infinity` and `-Infinity`.
 * @throws {JsonSyntaxError} with line and column
 */
export function parseJson(text: string, options: ParseOptions = {}): Json {
  return new Parser(text, options).document();
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const STRING = /"((?:[^"\\\u0000-\u001f])*)"/y;
const SPACE = /[ \t\n\r]*/y;
const LITERALS: readonly (readonly [string, Json])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
  ["NaN", new Float(Number.NaN)],
  ["Infinity", new Float(Number.POSITIVE_INFINITY)],
  ["-Infinity", new Float(Number.NEGATIVE_INFINITY)],
];
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Parser {
  private at = 0;
  private depth = 0;
  private readonly text: string;
  private readonly lastWins: boolean;
  private readonly maxDepth: number;

  constructor(text: string, options: ParseOptions) {
    this.text = text;
    this.lastWins = options.duplicates === "last-wins";
    this.maxDepth = options.maxDepth ?? 128;
  }

  document(): Json {
    this.space();
    const value = this.value();
    this.space();
    if (this.at < this.text.length) throw this.error("unexpected text after the document");
    return value;
  }

  private error(problem: string): JsonSyntaxError {
    return new JsonSyntaxError(problem, this.text, this.at);
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
    if (!this.take(character)) throw this.error(`expected "${character}"`);
  }

  private value(): Json {
    const first = this.text[this.at];
    if (first === "{") return this.nested(() => this.object());
    if (first === "[") return this.nested(() => this.array());
    if (first === '"') return this.string();
    for (const [word, value] of LITERALS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private nested<T>(parse: () => T): T {
    if (++this.depth > this.maxDepth) throw this.error(`nested deeper than ${this.maxDepth} levels`);
    const value = parse();
    this.depth--;
    return value;
  }

  private object(): JsonObject {
    const object = new Map<string, Json>();
    this.expect("{");
    this.space();
    if (this.take("}")) return object;
    for (;;) {
      const keyAt = this.at;
      const key = this.string();
      if (object.has(key) && !this.lastWins) {
        this.at = keyAt;
        throw this.error(`duplicate key ${JSON.stringify(key)}`);
      }
      this.space();
      this.expect(":");
      this.space();
      object.set(key, this.value());
      this.space();
      if (this.take("}")) return object;
      this.expect(",");
      this.space();
    }
  }

  private array(): JsonArray {
    const array: Json[] = [];
    this.expect("[");
    this.space();
    if (this.take("]")) return array;
    for (;;) {
      array.push(this.value());
      this.space();
      if (this.take("]")) return array;
      this.expect(",");
      this.space();
    }
  }

  private string(): string {
    STRING.lastIndex = this.at;
    const plain = STRING.exec(this.text);
    if (plain) {
      this.at = STRING.lastIndex;
      return plain[1] as string;
    }
    this.expect('"');
    let value = "";
    for (;;) {
      const character = this.text[this.at];
      if (character === undefined) throw this.error("unterminated string");
      if (character < " ") throw this.error("control character in a string");
      this.at++;
      if (character === '"') return value;
      value += character === "\\" ? this.escape() : character;
    }
  }

  private escape(): string {
    const letter = this.text[this.at++] ?? "";
    if (letter === "u") {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.error("bad \\u escape");
      this.at += 4;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = ESCAPES[letter];
    if (plain === undefined) throw this.error("bad escape");
    return plain;
  }

  private number(): Json {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (!match) throw this.error("expected a value");
    this.at = NUMBER.lastIndex;
    const [digits, fraction, exponent] = match;
    if (fraction !== undefined || exponent !== undefined) return new Float(Number(digits));
    const value = Number(digits);
    return Number.isSafeInteger(value) ? (Object.is(value, -0) ? 0 : value) : BigInt(digits);
  }
}

/** Turns text into a JSON string literal. */
export type FormatText = (text: string) => string;

/**
 * Writes a value as the reference writer does with `indent` spaces a level: every member on its own line,
 * no trailing newline. Non-ASCII is escaped unless `formatText` keeps it (`JSON.stringify` does).
 */
export function formatJson(value: Json, indent: number, formatText: FormatText = formatString): string {
  return formatAt(value, { step: " ".repeat(indent), formatText }, "\n");
}

interface FormatStyle {
  readonly step: string;
  readonly formatText: FormatText;
}

function formatAt(value: Json, style: FormatStyle, newline: string): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "string") return style.formatText(value);
  if (value instanceof Float) return formatFloat(value.value);
  const deeper = newline + style.step;
  if (isObject(value)) {
    if (value.size === 0) return "{}";
    const members = [...value].map(
      ([key, member]) => `${style.formatText(key)}: ${formatAt(member, style, deeper)}`,
    );
    return `{${deeper}${members.join(`,${deeper}`)}${newline}}`;
  }
  if (value.length === 0) return "[]";
  return `[${deeper}${value.map((item) => formatAt(item, style, deeper)).join(`,${deeper}`)}${newline}]`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

/** A JSON string literal with everything outside printable ASCII escaped. */
export function formatString(text: string): string {
  const escaped = text.replace(
    /["\\]|[^ -~]/g,
    (unit) => SHORT_ESCAPES[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}

/** A float as Python's `repr` spells it: shortest round trip, always with `.0` or an exponent. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const digits = String(Math.abs(exponent)).padStart(2, "0");
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${digits}`;
  }
  const negative = mantissa.startsWith("-") ? "-" : "";
  const digits = mantissa.replace(/[-.]/g, "");
  if (exponent < 0) return `${negative}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${negative}${whole}.${digits.slice(exponent + 1) || "0"}`;
}
