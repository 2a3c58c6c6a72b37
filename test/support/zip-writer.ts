import { crc32 } from "../../src/checkpoint/zip-directory.ts";

/** One entry to write; everything but name and content can lie. */
export interface WrittenEntry {
  readonly name: string;
  readonly content: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  /** Size that the directory claims. */
  readonly size?: number;
  /** Place of the local header that the directory claims. */
  readonly headerOffset?: number;
  /** Name in the local header. */
  readonly localName?: string;
  /** Bytes of padding in the local header's extra field. */
  readonly padding?: number;
}

export interface ZipOptions {
  /** Write every size and offset as a ZIP64 record. */
  readonly zip64?: boolean;
  readonly comment?: string;
}

/** A ZIP archive, by default as torch.save writes it: stored entries, true sizes in the directory only. */
export function zipFile(entries: readonly WrittenEntry[], options: ZipOptions = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const local = localHeader(entry);
    directory.push(directoryEntry(entry, entry.headerOffset ?? offset, options.zip64 === true));
    parts.push(local, Buffer.from(entry.content));
    offset += local.length + entry.content.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = endRecords({ count: entries.length, size, offset }, options);
  return Buffer.concat([...parts, ...directory, ...end]);
}

function localHeader(entry: WrittenEntry): Buffer {
  const name = Buffer.from(entry.localName ?? entry.name);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(entry.flags ?? 0, 6);
  header.writeUInt16LE(entry.method ?? 0, 8);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(entry.padding ?? 0, 28);
  return Buffer.concat([header, name, Buffer.alloc(entry.padding ?? 0)]);
}

function directoryEntry(entry: WrittenEntry, offset: number, zip64: boolean): Buffer {
  const name = Buffer.from(entry.name);
  const size = entry.size ?? entry.content.length;
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(entry.flags ?? 0, 8);
  header.writeUInt16LE(entry.method ?? 0, 10);
  header.writeUInt32LE(entry.crc ?? crc32(entry.content), 16);
  header.writeUInt32LE(zip64 ? 0xffffffff : entry.content.length, 20);
  header.writeUInt32LE(zip64 ? 0xffffffff : size, 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt32LE(zip64 ? 0xffffffff : offset, 42);
  if (!zip64) return Buffer.concat([header, name]);
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  extra.writeBigUInt64LE(BigInt(size), 4);
  extra.writeBigUInt64LE(BigInt(entry.content.length), 12);
  extra.writeBigUInt64LE(BigInt(offset), 20);
  header.writeUInt16LE(extra.length, 30);
  return Buffer.concat([header, name, extra]);
}

function endRecords(
  { count, size, offset }: { readonly count: number; readonly size: number; readonly offset: number },
  { zip64, comment = "" }: ZipOptions,
): Buffer[] {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : count, 8);
  end.writeUInt16LE(zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : size, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : offset, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  if (!zip64) return [end, Buffer.from(comment)];
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(0x06064b50, 0);
  end64.writeBigUInt64LE(44n, 4);
  end64.writeBigUInt64LE(BigInt(count), 24);
  end64.writeBigUInt64LE(BigInt(count), 32);
  end64.writeBigUInt64LE(BigInt(size), 40);
  end64.writeBigUInt64LE(BigInt(offset), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + size), 8);
  locator.writeUInt32LE(1, 16);
  return [end64, locator, end, Buffer.from(comment)];
}
