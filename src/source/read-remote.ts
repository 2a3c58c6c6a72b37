import { createHash } from "node:crypto";
import { anySignal } from "../core/any-signal.ts";
import { SourceError } from "../core/errors.ts";
import type { SourceDeps } from "./deps.ts";
import type { HubClient, HubModel, RemoteFile } from "./hub-client.ts";
import type { ByteRange } from "./range-set.ts";
import { readRange } from "./read-range.ts";
import { RemoteContent, transferFailure } from "./remote-content.ts";
import { TemporaryFailure } from "./retry.ts";

/** A place to read small pieces of a model from. */
export interface RemoteModel {
  readonly client: HubClient;
  readonly model: HubModel;
  readonly deps: SourceDeps;
}

/** Whole files up to this size are read into memory; a larger "small" file is refused. */
const MAX_TEXT_BYTES = 200_000_000;

/**
 * Reads a whole small file into memory and checks its hash.
 * @throws {SourceError} E_DOWNLOAD_…, E_HUB_…
 */
export async function readRemoteFile(remote: RemoteModel, file: RemoteFile): Promise<Buffer> {
  if (file.size > MAX_TEXT_BYTES) {
    throw new SourceError(
      "E_DOWNLOAD_TOO_LARGE",
      `${file.path} has ${file.size} bytes, which is too much to read at once`,
    );
  }
  const content = new RemoteContent(remote.client, remote.model, file, remote.deps);
  const bytes = file.size === 0 ? Buffer.alloc(0) : await readRemoteRange(remote, content, [0, file.size]);
  const expected = file.sha256 ?? file.oid;
  const hash =
    file.sha256 === undefined ? createHash("sha1").update(`blob ${file.size}\0`) : createHash("sha256");
  const found = hash.update(bytes).digest("hex");
  if (found === expected) return bytes;
  throw new SourceError(
    "E_DOWNLOAD_HASH",
    `${file.path}: expected hash ${expected}, received ${found} (from ${content.hosts})`,
    {
      hint: "The server or something on the way changes the content; try another endpoint or network.",
    },
  );
}

/**
 * Reads a range of a file into memory.
 * @throws {SourceError} E_DOWNLOAD_…, E_HUB_…
 */
export function readRemoteRange(
  remote: RemoteModel,
  content: RemoteContent,
  range: ByteRange,
): Promise<Buffer> {
  const { client, deps } = remote;
  const { path, size } = content.file;
  return client.retrying(path, async () => {
    const stop = new AbortController();
    const signal = deps.signal ? anySignal([stop.signal, deps.signal]) : stop.signal;
    const answer = await content.open({ range, etag: undefined, signal });
    const [start, end] = range;
    const found = answer.reply.header("content-range");
    const expected = `bytes ${start}-${end - 1}/${size}`;
    const { status } = answer.reply;
    const whole = status === 200 && start === 0;
    if (status === 200 && !whole) {
      answer.reply.discard();
      throw new TemporaryFailure(noRanges(path, answer.host));
    }
    if (!whole && (status !== 206 || found !== expected)) {
      answer.reply.discard();
      throw transferFailure(
        `${path}: ${answer.host} sent Content-Range ${found ?? "nothing"}, expected ${expected}`,
      );
    }
    const bytes = Buffer.alloc(end - start);
    const take = (at: number, chunks: readonly Uint8Array[]) => {
      Buffer.concat(chunks).copy(bytes, at - start);
      return Promise.resolve();
    };
    let arrived = 0;
    const transfer = {
      name: path,
      signal,
      stallMs: client.timing.stallMs,
      pace: () => Promise.resolve(),
      arrived: (nbytes: number) => {
        arrived += nbytes;
      },
      stalled: () => {},
      enough: () => arrived >= end - start,
      write: take,
    };
    await readRange(whole ? [0, size] : range, answer, transfer);
    return bytes;
  });
}

function noRanges(path: string, host: string): SourceError {
  return new SourceError(
    "E_DOWNLOAD_NO_RANGES",
    `${path}: ${host} sends the whole file where a range was asked for`,
    {
      hint: "It cannot be planned before it is here: run `mlc-convert download` first, then convert.",
    },
  );
}
