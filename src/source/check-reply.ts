import { SourceError } from "../core/errors.ts";
import type { ByteRange } from "./range-set.ts";
import { type RemoteContent, transferFailure } from "./remote-content.ts";

/** Content of which status and headers are here. */
export type OpenContent = Awaited<ReturnType<RemoteContent["open"]>>;

/** What is known of a file before its bytes come. */
export interface KnownFile {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Of what was fetched already. */
  readonly etag: string | undefined;
  /** The server knows no ranges. */
  readonly wholeOnly: boolean;
}

/** Everything that was fetched is worthless: begin again, another way. */
export class StartOver extends Error {
  readonly why: "changed" | "no-ranges" | "wrong-content";
  readonly error: SourceError;
  constructor(why: StartOver["why"], error: SourceError) {
    super(error.message);
    this.why = why;
    this.error = error;
  }
}

const CHANGED_HINT = "The file changed on the server during the download; run the command again.";

/**
 * What is wrong with the status, Content-Range and ETag of a reply, before a byte is taken.
 * @param claim the range that was asked for
 */
export function replyProblem(file: KnownFile, claim: ByteRange, content: OpenContent): Error | undefined {
  if (content.reply.status === 200) return wholeProblem(file, claim, content);
  if (content.reply.status === 416) return rangeRefused(file, content);
  return rangeProblem(file, claim, content);
}

function wholeProblem(
  file: KnownFile,
  [start, end]: ByteRange,
  { reply, etag, host }: OpenContent,
): Error | undefined {
  const { name, size, wholeOnly } = file;
  const other = etag !== undefined && file.etag !== undefined && etag !== file.etag;
  if (other && !wholeOnly) return new StartOver("changed", changed(name, host));
  if (start > 0 || end < size) return new StartOver("no-ranges", noRanges(name, host));
  const length = Number(reply.header("content-length") ?? Number.NaN);
  return length === size || Number.isNaN(length) ? undefined : wrongSize(file, length, host);
}

function rangeRefused(file: KnownFile, { reply, host }: OpenContent): Error {
  const total = /^bytes \*\/(\d+)$/.exec(reply.header("content-range") ?? "")?.[1];
  return total === undefined
    ? new StartOver("changed", changed(file.name, host))
    : wrongSize(file, Number(total), host);
}

function rangeProblem(
  file: KnownFile,
  [start, end]: ByteRange,
  { reply, host }: OpenContent,
): Error | undefined {
  const found = reply.header("content-range") ?? "nothing";
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(found);
  if (match && match[3] !== "*" && Number(match[3]) !== file.size)
    return wrongSize(file, Number(match[3]), host);
  if (match && Number(match[1]) === start && Number(match[2]) === end - 1) return undefined;
  const expected = `bytes ${start}-${end - 1}/${file.size}`;
  return transferFailure(`${file.name}: ${host} sent Content-Range ${found}, expected ${expected}`);
}

function wrongSize({ name, size }: KnownFile, found: number, host: string): Error {
  const message = `${name}: expected ${size} bytes, but ${host} offers ${found}`;
  const hint = found < 1024 ? "It may be a git-lfs pointer: try another endpoint." : CHANGED_HINT;
  return new StartOver("changed", new SourceError("E_DOWNLOAD_CHANGED", message, { hint }));
}

/** The file is not the one that the download began with. */
export function changed(name: string, host: string): SourceError {
  return new SourceError(
    "E_DOWNLOAD_CHANGED",
    `${name}: ${host} has another version now than when the download began`,
    {
      hint: CHANGED_HINT,
    },
  );
}

function noRanges(name: string, host: string): SourceError {
  return new SourceError(
    "E_DOWNLOAD_NO_RANGES",
    `${name}: ${host} sends the whole file where a range was asked for`,
  );
}
