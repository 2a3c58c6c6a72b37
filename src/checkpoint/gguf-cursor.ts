import { CheckpointError } from "../core/errors.ts";
import type { GgufText } from "../core/gguf.ts";

/** More of the file is needed than was given; nothing is wrong with it yet. */
export class NeedMoreBytes extends Error {
  /** Bytes from the file's start that the next attempt needs at least. */
  readonly needed: number;
  constructor(needed: number) {
    super(`${needed} bytes needed`);
    this.name = "NeedMoreBytes";
    this.needed = needed;
  }
}

/** Refuses a header, naming the file. */
export type Refuse = (problem: string, code?: string) => never;

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads a GGUF header front to back and never beyond what the file holds: a length or count that the rest of the
 * file cannot satisfy is refused before anything is allocated for it.
 */
export class GgufCursor {
  readonly bytes: Uint8Array;
  /** Size of the whole file, in bytes. */
  readonly fileSize: number;
  readonly littleEndian: boolean;
  offset: number;
  private readonly view: DataView;
  private readonly buffer: Buffer;
  private readonly refuse: Refuse;

  constructor(bytes: Uint8Array, options: { fileSize: number; littleEndian: boolean; refuse: Refuse }) {
    this.bytes = bytes;
    this.fileSize = options.fileSize;
    this.littleEndian = options.littleEndian;
    this.refuse = options.refuse;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = 0;
  }

  /** Bytes between here and the end of the file. */
  get left(): number {
    return this.fileSize - this.offset;
  }

  /** Claims the next `count` bytes and returns where they start. */
  take(count: number, what: string): number {
    if (count > this.left) {
      return this.refuse(
        `the file ends within ${what}: ${count} bytes expected at ${this.offset}, ${this.left} left`,
        "E_GGUF_TRUNCATED",
      );
    }
    const start = this.offset;
    if (start + count > this.bytes.length) throw new NeedMoreBytes(start + count);
    this.offset = start + count;
    return start;
  }

  u8(what: string): number {
    return this.view.getUint8(this.take(1, what));
  }
  i8(what: string): number {
    return this.view.getInt8(this.take(1, what));
  }
  u16(what: string): number {
    return this.view.getUint16(this.take(2, what), this.littleEndian);
  }
  i16(what: string): number {
    return this.view.getInt16(this.take(2, what), this.littleEndian);
  }
  u32(what: string): number {
    return this.view.getUint32(this.take(4, what), this.littleEndian);
  }
  i32(what: string): number {
    return this.view.getInt32(this.take(4, what), this.littleEndian);
  }
  f32(what: string): number {
    return this.view.getFloat32(this.take(4, what), this.littleEndian);
  }
  f64(what: string): number {
    return this.view.getFloat64(this.take(8, what), this.littleEndian);
  }
  u64(what: string): bigint {
    return this.view.getBigUint64(this.take(8, what), this.littleEndian);
  }
  i64(what: string): bigint {
    return this.view.getBigInt64(this.take(8, what), this.littleEndian);
  }

  /** A size as a plain number; what no file can hold is refused. */
  size(what: string): number {
    const value = this.u64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.refuse(`${what} is ${value}, more than 2^53`);
    return Number(value);
  }

  /** A count of things of at least `each` bytes that all lie in the rest of the file. */
  count(what: string, each: number, limit: number): number {
    const value = this.u64(what);
    const most = Math.min(limit, Math.floor(this.left / each));
    if (value > BigInt(most)) {
      this.refuse(`${what} is ${value}; at most ${most} are possible in the ${this.left} bytes left`);
    }
    return Number(value);
  }

  text(what: string, limit: number): GgufText {
    const length = this.count(`the length of ${what}`, 1, limit);
    const start = this.take(length, what);
    const text = this.buffer.toString("utf8", start, start + length);
    // A replacement character is either in the text or marks bytes that are none.
    if (!text.includes("\uFFFD")) return text;
    const bytes = this.bytes.slice(start, start + length);
    try {
      return STRICT.decode(bytes);
    } catch {
      return bytes;
    }
  }

  /** A name or key: valid UTF-8 and not longer than `limit` bytes. */
  name(what: string, limit: number): string {
    const text = this.text(what, limit);
    return typeof text === "string" ? text : this.refuse(`${what} is not valid UTF-8`);
  }
}

/** An error about one file. */
export function refuser(file: string): Refuse {
  return (problem, code = "E_GGUF_MALFORMED") => {
    throw new CheckpointError(code, `${file}: ${problem}`, {
      hint:
        code === "E_GGUF_TRUNCATED"
          ? "download the file again; it is not complete"
          : "the file is damaged or was not written by a GGUF writer",
    });
  };
}
