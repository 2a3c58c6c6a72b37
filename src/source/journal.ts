import { isArray, isObject, type Json, parseJson, toNumber } from "../core/json.ts";
import { type Owner, parseOwner } from "../core/owner.ts";
import type { ByteRange } from "./range-set.ts";

/** What a partly fetched file is part of. A journal is taken over only if all of this still holds. */
export interface PartIdentity {
  /** `repo@commit/path`; never an address. */
  readonly origin: string;
  readonly size: number;
  /** Algorithm and hex digits of the content's hash, as in `sha256:…`. */
  readonly hash: string;
}

/** A journal as it was found. */
export interface Journal {
  readonly identity: PartIdentity;
  readonly owner: Owner;
  /** Name of the file with the data, beside the journal. */
  readonly part: string;
  /** The storage's own ETag, for `If-Range`. */
  readonly etag: string | undefined;
  /** Ranges whose data was flushed before they were written down. */
  readonly ranges: readonly ByteRange[];
}

const VERSION = 1;

/** The first line of a journal. */
export function formatHead({ identity, owner, part, etag }: Omit<Journal, "ranges">): string {
  return `${JSON.stringify({ version: VERSION, ...identity, part, owner, etag: etag ?? null })}\n`;
}

/** One further line: ranges that are now on disk. */
export function formatRanges(ranges: readonly ByteRange[]): string {
  return `${JSON.stringify(ranges)}\n`;
}

/** Reads a journal; a torn last line is ignored, anything else odd makes the journal worthless (`undefined`). */
export function parseJournal(text: string): Journal | undefined {
  const lines = text.split("\n");
  lines.pop();
  const [head, ...rest] = lines;
  if (head === undefined) return undefined;
  try {
    const journal = parseHead(parseJson(head));
    const ranges = rest.flatMap((line) => parseRanges(parseJson(line)));
    if (!journal || ranges.some(([, end]) => end > journal.identity.size)) return undefined;
    return { ...journal, ranges };
  } catch {
    return undefined;
  }
}

function parseHead(json: Json): Omit<Journal, "ranges"> | undefined {
  if (!isObject(json) || json.get("version") !== VERSION) return undefined;
  const [origin, hash, etag, part] = [
    json.get("origin"),
    json.get("hash"),
    json.get("etag"),
    json.get("part"),
  ];
  const [size, owner] = [toNumber(json.get("size")), parseOwner(json.get("owner"))];
  if (typeof origin !== "string" || typeof hash !== "string" || size === undefined || !owner)
    return undefined;
  if (typeof part !== "string" || !/^[\w-][\w.-]*\.incomplete$/.test(part)) return undefined;
  const known = typeof etag === "string" ? etag : undefined;
  return { identity: { origin, size, hash }, owner, part, etag: known };
}

function parseRanges(json: Json): ByteRange[] {
  if (!isArray(json)) throw new Error("not a list");
  return json.map((entry): ByteRange => {
    const [start, end] = isArray(entry) ? entry : [];
    if (typeof start !== "number" || typeof end !== "number" || start < 0 || end <= start) {
      throw new Error("not a range");
    }
    return [start, end];
  });
}
