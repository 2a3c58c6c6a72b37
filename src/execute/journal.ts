import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Layout, ShardResult } from "../core/layout.ts";
import type { TensorStatistics } from "../core/statistics.ts";

const NAME = "mlc-convert-journal.jsonl";

/** Remembers which shards are durable, so that a run that was stopped goes on where it was. */
export interface Journal {
  /** Shards that an earlier run finished; the caller verifies what it keeps. */
  readonly finished: ReadonlyMap<number, ShardResult>;
  /** Why an earlier journal was not taken up, if there was one. */
  readonly restartReason?: string;
  /** Notes one shard. Call it only when the shard's bytes are durable. */
  note(index: number, result: ShardResult): void;
  /** May be called twice. Windows moves no folder while a file in it is open. */
  close(): void;
}

/** What must be the same for shards of an earlier run to be kept. */
export interface JournalKey {
  readonly version: string;
  /** Options that change bytes, and the identity of every source file: name, size, time stamp. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly layout: Layout;
}

/** A digest of everything that decides the output's bytes. */
export function keyDigest({ version, facts, layout }: JournalKey): string {
  const shards = layout.shards.map(({ path, fileOffset, nbytes }) => [path, fileOffset, nbytes]);
  return createHash("sha256").update(JSON.stringify({ version, facts, shards })).digest("hex");
}

/**
 * Opens the journal of a staging folder, taking up what fits `key`.
 * @param sync make every note durable
 */
export function openJournal(folder: string, key: JournalKey, sync: boolean): Journal {
  const path = join(folder, NAME);
  const digest = keyDigest(key);
  const earlier = existsSync(path) ? readJournal(path, digest, key.layout) : undefined;
  const finished = earlier?.finished ?? new Map<number, ShardResult>();
  const handle = openSync(path, finished.size > 0 ? "a" : "w");
  let open = true;
  const append = (entry: unknown): void => {
    writeSync(handle, `${JSON.stringify(entry)}\n`);
    if (sync) fsyncSync(handle);
  };
  if (finished.size === 0) append({ digest, version: key.version });
  return {
    finished,
    ...(earlier?.reason === undefined ? {} : { restartReason: earlier.reason }),
    note: (index, result) => append({ shard: index, ...result }),
    close: () => {
      if (open) closeSync(handle);
      open = false;
    },
  };
}

interface Earlier {
  readonly finished: Map<number, ShardResult>;
  readonly reason?: string;
}

function readJournal(path: string, digest: string, layout: Layout): Earlier {
  const finished = new Map<number, ShardResult>();
  const [first, ...lines] = readFileSync(path, "utf8").split("\n").map(parseLine);
  if (first?.digest !== digest) return { finished, reason: "source, options or version changed" };
  for (const line of lines) {
    if (typeof line?.shard !== "number" || typeof line.md5 !== "string") continue;
    const { shard, md5, statistics } = line;
    if (layout.shards[shard]) finished.set(shard, isStatistics(statistics) ? { md5, statistics } : { md5 });
  }
  return { finished };
}

interface Line {
  readonly digest?: unknown;
  readonly shard?: unknown;
  readonly md5?: unknown;
  readonly statistics?: unknown;
}

/** The digest in the first line vouches for who wrote the others. */
function isStatistics(value: unknown): value is readonly TensorStatistics[] {
  return Array.isArray(value);
}

/** A line that a crash cut off is no line. */
function parseLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Line) : undefined;
  } catch {
    return undefined;
  }
}

/** The journal's file name, which no finished output has. */
export const JOURNAL_NAME: string = NAME;
