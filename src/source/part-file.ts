import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import path from "node:path";
import { flushFolder, makeFolder, type OpenRaw, openOnDisk, type RawFile } from "./disk.ts";
import {
  formatHead,
  formatRanges,
  isAlive,
  type PartIdentity,
  parseJournal,
  thisProcess,
} from "./journal.ts";
import { type ByteRange, RangeSet } from "./range-set.ts";

export interface PartOptions {
  readonly folder: string;
  /** First part of the temporary names, e.g. the blob's hash. */
  readonly stem: string;
  readonly identity: PartIdentity;
  readonly open?: OpenRaw;
}

/** Without a heartbeat for so long, an owner that cannot be asked is taken for dead. */
export const HEARTBEAT_LOST_MS = 120_000;
const HEARTBEAT_MS = 10_000;
const SUFFIX = ".incomplete";
const JOURNAL = ".journal";

/**
 * A file that is being fetched: `<stem>.<8 hex>.incomplete`, unique to this process, and its journal beside it.
 * A range enters the journal only after its data was flushed, so what the journal says survives a crash.
 */
export class PartFile {
  readonly path: string;
  /** Ranges that were written, flushed or not. */
  readonly written: RangeSet;
  /** Bytes that were there when the file was opened. */
  readonly resumed: number;
  private readonly flushed: RangeSet;
  private readonly data: RawFile;
  private readonly options: PartOptions;
  private journal: RawFile;
  private unflushed: ByteRange[] = [];
  /** Ends when all flushes that were asked for have. */
  private chain: Promise<void> = Promise.resolve();
  /** The flush that has not begun yet. */
  private queued: Promise<void> | undefined;
  private etagKnown: string | undefined;
  private readonly heartbeat: NodeJS.Timeout;

  private constructor(options: PartOptions, opened: Opened) {
    this.options = options;
    this.path = opened.path;
    this.data = opened.data;
    this.journal = opened.journal;
    this.etagKnown = opened.etag;
    this.written = new RangeSet(opened.ranges);
    this.flushed = new RangeSet(opened.ranges);
    this.resumed = this.written.nbytes;
    this.heartbeat = setInterval(() => void touch(this.path + JOURNAL), HEARTBEAT_MS).unref();
  }

  /** Takes over what a dead process left of the same content, or begins anew. */
  static async open(options: PartOptions): Promise<PartFile> {
    await makeFolder(options.folder);
    const file = path.join(options.folder, `${options.stem}.${randomBytes(4).toString("hex")}${SUFFIX}`);
    const adopted = await adopt(options, file);
    const open = options.open ?? openOnDisk;
    const journal = await startJournal(options, file, adopted);
    const data = await open(file, adopted ? "r+" : "w+");
    return new PartFile(options, {
      path: file,
      data,
      journal,
      etag: adopted?.etag,
      ranges: adopted?.ranges ?? [],
    });
  }

  /** The storage's ETag that all ranges came under. */
  get etag(): string | undefined {
    return this.etagKnown;
  }

  /** Notes the storage's ETag before the first range is written. */
  async setEtag(etag: string): Promise<void> {
    this.etagKnown = etag;
    await this.rewriteJournal();
  }

  /** Writes bytes at their place; they count as kept only after {@link flush}. */
  async write(start: number, chunks: readonly Uint8Array[]): Promise<void> {
    const nbytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    await this.data.writev(chunks, start);
    this.written.add(start, start + nbytes);
    this.unflushed.push([start, start + nbytes]);
  }

  /** Flushes what is written by now and then records it. Calls that come together share one flush. */
  flush(): Promise<void> {
    this.queued ??= this.chain.then(() => {
      this.queued = undefined;
      return this.flushNow();
    });
    const { queued } = this;
    this.chain = queued.catch(() => {});
    return queued;
  }

  /** Forgets everything that was fetched. */
  async reset(): Promise<void> {
    await this.chain;
    this.unflushed = [];
    this.etagKnown = undefined;
    this.written.clear();
    this.flushed.clear();
    await this.rewriteJournal();
    await this.data.truncate(0);
  }

  /** Closes the file and leaves it for a later process. */
  async leave(): Promise<void> {
    clearInterval(this.heartbeat);
    await this.chain;
    await this.flush().catch(() => {});
    await this.data.close();
    await this.journal.close();
    await this.abandon();
  }

  /** Flushes, closes and moves the finished file to `target`, for good. */
  async publish(target: string): Promise<void> {
    clearInterval(this.heartbeat);
    await this.chain;
    await this.data.datasync();
    await this.data.close();
    await this.journal.close();
    await makeFolder(path.dirname(target));
    await rename(this.path, target);
    await flushFolder(path.dirname(target));
    await unlink(this.path + JOURNAL).catch(() => {});
  }

  private async flushNow(): Promise<void> {
    const ranges = this.unflushed;
    if (ranges.length === 0) return;
    this.unflushed = [];
    await this.data.datasync();
    await this.journal.appendFile(formatRanges(new RangeSet(ranges).list()));
    await this.journal.datasync();
    for (const [start, end] of ranges) this.flushed.add(start, end);
  }

  /** Replaces the journal by one with the present head and what is known to be flushed. */
  private rewriteJournal(): Promise<void> {
    const done = this.chain.then(async () => {
      await this.journal.close();
      const left = { etag: this.etagKnown, ranges: this.flushed.list() };
      this.journal = await startJournal(this.options, this.path, left);
    });
    this.chain = done.catch(() => {});
    return done;
  }

  /** Ages the journal so that nobody waits for a heartbeat, also where the process cannot be asked. */
  private async abandon(): Promise<void> {
    const long = new Date(Date.now() - HEARTBEAT_LOST_MS);
    await utimes(this.path + JOURNAL, long, long).catch(() => {});
  }
}

interface Opened {
  readonly path: string;
  readonly data: RawFile;
  readonly journal: RawFile;
  readonly etag: string | undefined;
  readonly ranges: readonly ByteRange[];
}

interface Left {
  readonly etag: string | undefined;
  readonly ranges: readonly ByteRange[];
}

async function startJournal(options: PartOptions, file: string, left: Left | undefined): Promise<RawFile> {
  const open = options.open ?? openOnDisk;
  const fresh = await open(`${file}${JOURNAL}.new`, "w");
  const ranges = left && left.ranges.length > 0 ? formatRanges(left.ranges) : "";
  await fresh.appendFile(
    formatHead({ identity: options.identity, owner: thisProcess(), etag: left?.etag }) + ranges,
  );
  await fresh.datasync();
  await fresh.close();
  await rename(`${file}${JOURNAL}.new`, file + JOURNAL);
  return open(file + JOURNAL, "a");
}

/** Renames the best abandoned part of the same content to `file`; only one process can win each rename. */
async function adopt({ folder, stem, identity }: PartOptions, file: string): Promise<Left | undefined> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${stem}.`) || !name.endsWith(SUFFIX + JOURNAL)) continue;
    const old = path.join(folder, name.slice(0, -JOURNAL.length));
    const journal = await abandonedJournal(old);
    const same = journal && JSON.stringify(journal.identity) === JSON.stringify(identity);
    if (!same) continue;
    try {
      await rename(old + JOURNAL, file + JOURNAL);
      await rename(old, file);
      await unlink(`${old}${JOURNAL}.new`).catch(() => {});
    } catch {
      continue;
    }
    const { size } = await stat(file);
    return { etag: journal.etag, ranges: journal.ranges.filter(([, end]) => end <= size) };
  }
  return undefined;
}

async function abandonedJournal(part: string) {
  const text = await readFile(part + JOURNAL, "utf8").catch(() => "");
  const journal = parseJournal(text);
  if (!journal) return undefined;
  return (await isAbandoned(part, journal.owner)) ? journal : undefined;
}

async function isAbandoned(part: string, owner: Parameters<typeof isAlive>[0]): Promise<boolean> {
  if (isAlive(owner) === false) return true;
  const stats = await stat(part + JOURNAL).catch(() => undefined);
  return stats === undefined || Date.now() - stats.mtimeMs >= HEARTBEAT_LOST_MS;
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => {});
}

/** Removes what dead processes left in a folder more than a day ago, and journals they never began (T24). */
export async function cleanParts(folder: string, now: number): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    const part = /^(.*\.[0-9a-f]{8}\.incomplete)(\.journal(\.new)?)?$/.exec(name)?.[1];
    if (part === undefined || !(await isRubbish(folder, name, { part, now }))) continue;
    await unlink(path.join(folder, name)).catch(() => {});
    removed++;
  }
  return removed;
}

/** A part or journal whose owner is gone, whatever its age. Parts without a journal count only after a day. */
export async function isLeftover(folder: string, name: string): Promise<boolean> {
  const part = path.join(folder, name.replace(/\.journal(\.new)?$/, ""));
  const journal = await readJournal(part);
  if (journal) return isAbandoned(part, journal.owner);
  return (await ageOf(folder, name, Date.now())) >= 86_400_000;
}

async function isRubbish(
  folder: string,
  name: string,
  { part, now }: { part: string; now: number },
): Promise<boolean> {
  if (name.endsWith(".new")) {
    const begun = parseJournal(await readFile(path.join(folder, name), "utf8").catch(() => ""));
    if (begun && isAlive(begun.owner) === false) return true;
  }
  if ((await ageOf(folder, name, now)) < 86_400_000) return false;
  const journal = await readJournal(path.join(folder, part));
  return journal === undefined || isAbandoned(path.join(folder, part), journal.owner);
}

async function readJournal(part: string) {
  return parseJournal(await readFile(part + JOURNAL, "utf8").catch(() => ""));
}

async function ageOf(folder: string, name: string, now: number): Promise<number> {
  const stats = await stat(path.join(folder, name)).catch(() => undefined);
  return stats ? now - stats.mtimeMs : 0;
}
