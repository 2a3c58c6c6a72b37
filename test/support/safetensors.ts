import type { ByteSource } from "../../src/core/byte-source.ts";

/** The bytes of a safetensors file with this header text (or JSON value) and so many bytes of zeros as data. */
export function safetensorsFile(header: unknown, dataBytes: number): Uint8Array {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}

/** Bytes in memory as a source; it refuses reads outside of itself, and counts them. */
export function memorySource(bytes: Uint8Array): ByteSource & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    size: bytes.length,
    reads,
    read: async (start, end) => {
      if (start < 0 || end < start || end > bytes.length) throw new RangeError(`read of ${start}..${end}`);
      reads.push([start, end]);
      return bytes.slice(start, end);
    },
  };
}
