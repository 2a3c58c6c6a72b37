import { CheckpointError } from "../core/errors.ts";

/** Thrown inside when the bytes end before the pickle does. */
export class PickleEnded extends CheckpointError {}

/** Reads the bytes of a pickle from front to back, and says where something is wrong. */
export class PickleCursor {
  private at: number;
  /** Position of the opcode being carried out. */
  private opcodeAt = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly where: string;
  private readonly text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  /** @param place `where` for messages, `start` in bytes */
  constructor(bytes: Uint8Array, place: { readonly where: string; readonly start?: number }) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.where = place.where;
    this.at = place.start ?? 0;
  }

  /** Behind what was read, in bytes. */
  get position(): number {
    return this.at;
  }

  opcode(): number {
    this.opcodeAt = this.at;
    return this.u8();
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

  /** Up to the next line feed, of a name. */
  line(): string {
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

  /** For what is outside the subset. */
  refused(problem: string, hint?: string): CheckpointError {
    return new CheckpointError("E_PICKLE_REFUSED", this.describe(problem), {
      hint: hint ?? "Load the file with a PyTorch that you trust and save its state dict as safetensors.",
    });
  }

  /** For what no pickle says. */
  corrupt(problem: string): CheckpointError {
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
