/** Bytes of known length that can be read in ranges: a local file, a remote file, or memory. */
export interface ByteSource {
  /** Length in bytes. */
  readonly size: number;
  /** Every read is a request over a network: checks that a later local reading makes anyway are left to it. */
  readonly remote?: boolean;
  /**
   * The bytes from `start` (included) to `end` (excluded), with `0 <= start <= end <= size`.
   * The result belongs to the caller. It may be shorter than asked only if the source has shrunk.
   */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A file that has a name inside a checkpoint and whose bytes can be read in ranges. */
export interface NamedFile extends ByteSource {
  /** Name relative to the checkpoint's folder, with `/` between folders. */
  readonly name: string;
  /** Absolute path, or the address of a remote file. */
  readonly path: string;
}
