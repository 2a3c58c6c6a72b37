import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import path from "node:path";
import { isAlive, type Owner, thisProcess } from "../core/owner.ts";
import { flushFolder, makeFolder, type OpenRaw, openOnDisk, type RawFile } from "./disk.ts";
import { formatHead, formatRanges, type Journal, type PartIdentity, parseJournal } from "./journal.ts";
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
  private readonly journalPath: string;
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
    this.path = path.join(options.folder, opened.part);
    this.journalPath = opened.journalPath;
    this.data = opened.data;
    this.journal = opened.journal;
    this.etagKnown = opened.etag;
    this.written = new RangeSet(opened.ranges);
    this.flushed = new RangeSet(opened.ranges);
    this.resumed = this.written.nbytes;
    this.heartbeat = setInterval(() => void touch(this.journalPath), HEARTBEAT_MS).unref();
  }

  /** Takes over what a dead process left of the same content, or begins anew. */
  static async open(options: PartOptions): Promise<PartFile> {
    await makeFolder(options.folder);
    const fresh = `${options.stem}.${randomBytes(4).toString("hex")}${SUFFIX}`;
    const journalPath = path.join(options.folder, fresh + JOURNAL);
    const adopted = await adopt(options, journalPath);
    const left = adopted ?? { part: fresh, etag: undefined, ranges: [] };
    const journal = await startJournal(options, journalPath, left);
    const open = options.open ?? openOnDisk;
    const data = await open(path.join(options.folder, left.part), adopted ? "r+" : "w+");
    return new PartFile(options, { ...left, data, journal, journalPath });
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
    await unlink(this.journalPath).catch(() => {});
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
      const part = path.basename(this.path);
      const left = { part, etag: this.etagKnown, ranges: this.flushed.list() };
      this.journal = await startJournal(this.options, this.journalPath, left);
    });
    this.chain = done.catch(() => {});
    return done;
  }

  /** Ages the journal so that nobody waits for a heartbeat, also where the process cannot be asked. */
  private async abandon(): Promise<void> {
    const long = new Date(Date.now() - HEARTBEAT_LOST_MS);
    await utimes(this.journalPath, long, long).catch(() => {});
  }
}

/** What a journal says was kept, and in which file. */
interface Left {
  readonly part: string;
  readonly etag: string | undefined;
  readonly ranges: readonly ByteRange[];
}

interface Opened extends Left {
  readonly data: RawFile;
  readonly journal: RawFile;
  readonly journalPath: string;
}

async function startJournal(options: PartOptions, file: string, left: Left): Promise<RawFile> {
  const open = options.open ?? openOnDisk;
  const fresh = await open(`${file}.new`, "w");
  const ranges = left.ranges.length > 0 ? formatRanges(left.ranges) : "";
  await fresh.appendFile(formatHead({ identity: options.identity, owner: thisProcess(), ...left }) + ranges);
  await fresh.datasync();
  await fresh.close();
  await rename(`${file}.new`, file);
  return open(file, "a");
}

/**
 * Takes over an abandoned part of the same content by renaming its journal: one step, which one process can win.
 * The journal names the file with the data, so being killed here loses nothing.
 */
async function adopt(
  { folder, stem, identity }: PartOptions,
  journalPath: string,
): Promise<Left | undefined> {
  for (const [name, journal] of await journalsIn(folder)) {
    if (!name.startsWith(`${stem}.`) || JSON.stringify(journal.identity) !== JSON.stringify(identity))
      continue;
    const stats = await stat(path.join(folder, journal.part)).catch(() => undefined);
    if (!(await isAbandoned(path.join(folder, name), journal.owner))) continue;
    if (!stats) {
      await unlink(path.join(folder, name)).catch(() => {});
      continue;
    }
    try {
      await rename(path.join(folder, name), journalPath);
    } catch {
      continue;
    }
    await unlink(path.join(folder, `${name}.new`)).catch(() => {});
    return {
      part: journal.part,
      etag: journal.etag,
      ranges: journal.ranges.filter(([, end]) => end <= stats.size),
    };
  }
  return undefined;
}

async function journalsIn(folder: string): Promise<Map<string, Journal>> {
  const found = new Map<string, Journal>();
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.endsWith(SUFFIX + JOURNAL)) continue;
    const journal = parseJournal(await readFile(path.join(folder, name), "utf8").catch(() => ""));
    if (journal) found.set(name, journal);
  }
  return found;
}

async function isAbandoned(journalPath: string, owner: Owner): Promise<boolean> {
  if (isAlive(owner) === false) return true;
  const stats = await stat(journalPath).catch(() => undefined);
  return stats === undefined || Date.now() - stats.mtimeMs >= HEARTBEAT_LOST_MS;
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => {});
}

/** Removes what dead processes left in a folder more than a day ago, and journals they never began (T24). */
export async function cleanParts(folder: string, now: number): Promise<number> {
  const rubbish = await findLeftovers(folder, now, 86_400_000);
  for (const name of rubbish) await unlink(path.join(folder, name)).catch(() => {});
  return rubbish.length;
}

/**
 * Parts and journals in a folder whose owners are gone for `ageMs`, by name. What no journal speaks for may be
 * another program's, so it counts only after a day.
 */
export async function findLeftovers(folder: string, now: number, ageMs: number): Promise<string[]> {
  const journals = await journalsIn(folder);
  const found: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/\.incomplete(\.journal(\.new)?)?$/.test(name)) continue;
    const stats = await stat(path.join(folder, name)).catch(() => undefined);
    const age = now - (stats?.mtimeMs ?? now);
    const entry = [...journals].find(([journal, { part }]) => journal === name || part === name);
    const [journal, owner] = entry ? [entry[0], entry[1].owner] : [undefined, await neverBegan(folder, name)];
    const gone =
      journal === undefined
        ? age >= 86_400_000
        : owner && (await isAbandoned(path.join(folder, journal), owner));
    if (gone && age >= ageMs) found.push(name);
    else if (journal === undefined && owner && isAlive(owner) === false) found.push(name);
  }
  return found;
}

/** The owner of a journal that was being written when its process ended. */
async function neverBegan(folder: string, name: string): Promise<Owner | undefined> {
  if (!name.endsWith(".new")) return undefined;
  return parseJournal(await readFile(path.join(folder, name), "utf8").catch(() => ""))?.owner;
}
