import type { NamedFile } from "../core/byte-source.ts";
import type { RemoteFile } from "./hub-client.ts";
import { type RemoteModel, readRemoteFile, readRemoteRange } from "./read-remote.ts";
import { RemoteContent } from "./remote-content.ts";

/** The least that is fetched at the start of a file: covers most headers with one request (formats.md §1.1). */
const FIRST_BYTES = 100_000;
/** Files whose content is text, and small: read as a whole, so that their hash can be checked. */
const WHOLE = /\.(json|jinja|txt|model|tiktoken)$/;

interface Piece {
  readonly start: number;
  readonly bytes: Buffer;
}

/**
 * A file on the hub whose bytes can be read in ranges without fetching the rest. What was read is kept, so header
 * readers may go back. Texts are read as a whole and their hash is checked; of weight files no hash can be.
 * The requests end when the connection that `remote` holds is closed.
 */
export class RangedFile implements NamedFile {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly remote = true;
  private readonly from: RemoteModel;
  private readonly file: RemoteFile;
  private readonly content: RemoteContent;
  private pieces: readonly Piece[] = [];
  private whole: Promise<Buffer> | undefined;

  constructor(from: RemoteModel, file: RemoteFile) {
    this.name = file.path;
    this.path = `${from.model.repo}@${from.model.commit}/${file.path}`;
    this.size = file.size;
    this.from = from;
    this.file = file;
    this.content = new RemoteContent(from.client, from.model, file, from.deps);
  }

  /**
   * The bytes from `start` to `end`, by one request for each gap that is not known yet.
   * @throws {SourceError} E_DOWNLOAD_…, E_HUB_…; E_DOWNLOAD_NO_RANGES where the server sends whole files only
   */
  async read(start: number, end: number): Promise<Uint8Array> {
    if (WHOLE.test(this.name)) {
      this.whole ??= readRemoteFile(this.from, this.file);
      return Buffer.from((await this.whole).subarray(start, end));
    }
    const parts: Buffer[] = [];
    for (let at = start; at < end; ) {
      const known = this.pieces.find((piece) => piece.start <= at && at < piece.start + piece.bytes.length);
      const piece = known ?? (await this.fetch(at, end));
      parts.push(
        piece.bytes.subarray(at - piece.start, Math.min(end, piece.start + piece.bytes.length) - piece.start),
      );
      at = piece.start + piece.bytes.length;
    }
    return Buffer.concat(parts);
  }

  /** Fetches from `at` to the next known byte, at most to `end`. */
  private async fetch(at: number, end: number): Promise<Piece> {
    const wanted = at === 0 ? Math.min(Math.max(end, FIRST_BYTES), this.size) : end;
    const next = this.pieces.reduce(
      (first, { start }) => (start > at ? Math.min(first, start) : first),
      wanted,
    );
    const piece = { start: at, bytes: await readRemoteRange(this.from, this.content, [at, next]) };
    this.pieces = [...this.pieces, piece];
    return piece;
  }
}
