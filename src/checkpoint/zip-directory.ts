import type { ByteSource } from "../core/byte-source.ts";
import { CheckpointError } from "../core/errors.ts";

/** One entry of an archive, from the central directory. */
export interface ZipEntry {
  readonly name: string;
  /** Size of the content and of what is stored, bytes. */
  readonly size: number;
  readonly storedSize: number;
  /** 0 is stored as it is. */
  readonly method: number;
  readonly encrypted: boolean;
  readonly crc: number;
  readonly headerOffset: number;
  /** Where the next entry, or the directory, starts: the content must end before. */
  readonly limit: number;
}

const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const END64_BYTES = 56;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT = 0xffff;
/** Names take about 40 bytes; this is more than a million storages. */
const MAX_DIRECTORY_BYTES = 100_000_000;
const UNSET_32 = 0xffffffff;

/**
 * Reads the central directory of a ZIP archive, ZIP64 included, as PyTorch writes it (formats.md §2.2).
 *
 * @throws {CheckpointError} `E_ZIP_TRUNCATED` without a directory, `E_ZIP_CORRUPT` for duplicate names, entries that overlap
 * or lie outside of the file, and several disks
 */
export async function readZipDirectory(
  source: ByteSource,
  where: string,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const { offset, size, count } = await readEnd(source, where);
  if (size > MAX_DIRECTORY_BYTES || offset + size > source.size) {
    throw corrupt(
      `${where}: expected the archive's directory inside the file, found it at ${offset}, ${size} bytes long`,
    );
  }
  const bytes = await readExactly(source, { start: offset, end: offset + size, where });
  const entries = parseEntries(bytes, where);
  if (entries.length !== count) {
    throw corrupt(`${where}: expected ${count} entries in the archive's directory, found ${entries.length}`);
  }
  return withLimits(entries, offset, where);
}

/**
 * Where an entry's content starts in the file: behind its local header, whose own lengths count.
 *
 * @throws {CheckpointError} `E_ZIP_COMPRESSED`, `E_ZIP_ENCRYPTED`, `E_ZIP_CORRUPT`
 */
export async function locateZipContent(source: ByteSource, entry: ZipEntry, where: string): Promise<number> {
  const { name, headerOffset, limit } = entry;
  if (entry.encrypted) {
    throw new CheckpointError(
      "E_ZIP_ENCRYPTED",
      `${where}: ${name}: expected plain content, found it encrypted`,
    );
  }
  if (entry.method !== 0) {
    throw new CheckpointError(
      "E_ZIP_COMPRESSED",
      `${where}: ${name}: expected content stored as it is (method 0), found it compressed (method ${entry.method})`,
      { hint: "Load the file with PyTorch and save it again; torch.save never compresses." },
    );
  }
  if (entry.size !== entry.storedSize) {
    throw corrupt(`${where}: ${name}: expected ${entry.size} bytes, found ${entry.storedSize} stored`);
  }
  const nameBytes = new TextEncoder().encode(name);
  const headerEnd = headerOffset + LOCAL_BYTES + nameBytes.length;
  if (headerEnd > limit)
    throw corrupt(`${where}: ${name}: its header at ${headerOffset} reaches into what follows`);
  const header = Buffer.from(await readExactly(source, { start: headerOffset, end: headerEnd, where }));
  const sameName =
    header.readUInt16LE(26) === nameBytes.length && header.subarray(LOCAL_BYTES).equals(nameBytes);
  if (header.readUInt32LE(0) !== 0x04034b50 || !sameName) {
    throw corrupt(`${where}: ${name}: expected its own header at ${headerOffset}, found something else`);
  }
  const start = headerEnd + header.readUInt16LE(28);
  if (start + entry.size > limit) {
    throw corrupt(`${where}: ${name}: ${entry.size} bytes at ${start} overlap what follows at ${limit}`);
  }
  return start;
}

/** Reads and checks the whole content of an entry of at most `maxBytes`. */
export async function readZipEntry(
  source: ByteSource,
  entry: ZipEntry,
  place: { readonly where: string; readonly maxBytes: number },
): Promise<Uint8Array> {
  const { where, maxBytes } = place;
  if (entry.size > maxBytes) {
    throw corrupt(`${where}: ${entry.name}: expected at most ${maxBytes} bytes, found ${entry.size}`);
  }
  const start = await locateZipContent(source, entry, where);
  const bytes = await readExactly(source, { start, end: start + entry.size, where });
  const found = crc32(bytes);
  if (found !== entry.crc) {
    throw corrupt(`${where}: ${entry.name}: expected CRC-32 ${hex(entry.crc)}, found ${hex(found)}`);
  }
  return bytes;
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function readEnd(source: ByteSource, where: string): Promise<Directory> {
  const start = Math.max(0, source.size - END_BYTES - MAX_COMMENT - LOCATOR_BYTES);
  const tail = Buffer.from(await readExactly(source, { start, end: source.size, where }));
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== 0x06054b50 || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length)
      continue;
    const end64 = at >= LOCATOR_BYTES && tail.readUInt32LE(at - LOCATOR_BYTES) === 0x07064b50;
    if (end64) return readEnd64(source, bigNumber(tail, at - LOCATOR_BYTES + 8), where);
    const count = tail.readUInt16LE(at + 10);
    if (tail.readUInt16LE(at + 4) !== 0 || tail.readUInt16LE(at + 8) !== count) throw severalDisks(where);
    return { count, size: tail.readUInt32LE(at + 12), offset: tail.readUInt32LE(at + 16) };
  }
  throw new CheckpointError(
    "E_ZIP_TRUNCATED",
    `${where}: expected the directory of the archive at the end of its ${source.size} bytes, found none: the file is cut off`,
    { hint: "Fetch the file again; the download did not finish." },
  );
}

async function readEnd64(source: ByteSource, at: number, where: string): Promise<Directory> {
  if (at + END64_BYTES > source.size)
    throw corrupt(`${where}: the ZIP64 record at ${at} lies outside of the file`);
  const record = Buffer.from(await readExactly(source, { start: at, end: at + END64_BYTES, where }));
  if (record.readUInt32LE(0) !== 0x06064b50)
    throw corrupt(`${where}: expected a ZIP64 record at ${at}, found none`);
  const count = bigNumber(record, 32);
  if (record.readUInt32LE(16) !== 0 || bigNumber(record, 24) !== count) throw severalDisks(where);
  return { count, size: bigNumber(record, 40), offset: bigNumber(record, 48) };
}

type BareEntry = Omit<ZipEntry, "limit">;

function parseEntries(bytes: Uint8Array, where: string): BareEntry[] {
  const directory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: BareEntry[] = [];
  for (let at = 0; at < directory.length; ) {
    const whole = at + ENTRY_BYTES <= directory.length && directory.readUInt32LE(at) === 0x02014b50;
    const nameEnd = whole ? at + ENTRY_BYTES + directory.readUInt16LE(at + 28) : 0;
    const extraEnd = whole ? nameEnd + directory.readUInt16LE(at + 30) : 0;
    const end = whole ? extraEnd + directory.readUInt16LE(at + 32) : 0;
    if (!whole || end > directory.length)
      throw corrupt(`${where}: the archive's directory breaks off at its byte ${at}`);
    const fields = directory.subarray(at, at + ENTRY_BYTES);
    entries.push(
      parseEntry(
        fields,
        directory.subarray(at + ENTRY_BYTES, nameEnd),
        directory.subarray(nameEnd, extraEnd),
      ),
    );
    at = end;
  }
  return entries;
}

function parseEntry(fields: Buffer, name: Buffer, extra: Buffer): BareEntry {
  const wide = wideFields(extra);
  const take = (at: number): number => {
    const narrow = fields.readUInt32LE(at);
    return narrow === UNSET_32 ? (wide.shift() ?? narrow) : narrow;
  };
  const size = take(24);
  const storedSize = take(20);
  const headerOffset = take(42);
  return {
    name: name.toString("utf8"),
    size,
    storedSize,
    method: fields.readUInt16LE(10),
    encrypted: (fields.readUInt16LE(8) & 0x2041) !== 0,
    crc: fields.readUInt32LE(16),
    headerOffset,
  };
}

/** The 64-bit numbers of the ZIP64 extra field, in the order in which unset 32-bit fields take them. */
function wideFields(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) return [];
    if (extra.readUInt16LE(at) === 1) {
      const values: number[] = [];
      for (let value = at + 4; value + 8 <= end; value += 8) values.push(bigNumber(extra, value));
      return values;
    }
    at = end;
  }
  return [];
}

function withLimits(
  entries: readonly BareEntry[],
  end: number,
  where: string,
): ReadonlyMap<string, ZipEntry> {
  const sorted = [...entries].sort((a, b) => a.headerOffset - b.headerOffset);
  const byName = new Map<string, ZipEntry>();
  for (const [index, entry] of sorted.entries()) {
    const limit = sorted[index + 1]?.headerOffset ?? end;
    if (byName.has(entry.name))
      throw corrupt(`${where}: the name ${JSON.stringify(entry.name)} occurs twice`);
    if (entry.headerOffset + LOCAL_BYTES + entry.storedSize > limit) {
      throw corrupt(
        `${where}: ${entry.name}: ${entry.storedSize} bytes at ${entry.headerOffset} overlap what follows at ${limit}`,
      );
    }
    byName.set(entry.name, { ...entry, limit });
  }
  return byName;
}

/** A u64 as a number; values beyond 2^53 are no offsets of any file and fail the range checks. */
function bigNumber(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as ZIP uses it. `node:zlib` has one only since Node 20.15. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 255] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}

async function readExactly(
  source: ByteSource,
  range: { readonly start: number; readonly end: number; readonly where: string },
): Promise<Uint8Array> {
  const { start, end, where } = range;
  const bytes = await source.read(start, end);
  if (bytes.length === end - start) return bytes;
  throw corrupt(
    `${where}: expected ${end - start} bytes at ${start}, found ${bytes.length}: the file has shrunk`,
  );
}

function severalDisks(where: string): CheckpointError {
  return corrupt(`${where}: expected an archive in one piece, found one of several disks`);
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function corrupt(message: string): CheckpointError {
  return new CheckpointError("E_ZIP_CORRUPT", message, {
    hint: "Fetch the file again; the archive is damaged.",
  });
}
