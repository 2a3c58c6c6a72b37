import { SourceError } from "../core/errors.ts";
import type { SourceDeps } from "./deps.ts";
import type { RemoteFile } from "./hub-client.ts";
import { openHub, type SourceOptions } from "./options.ts";
import { type RemoteModel, readRemoteFile, readRemoteRange } from "./read-remote.ts";
import { RemoteContent } from "./remote-content.ts";
import type { RemoteSource } from "./resolved.ts";

/** The beginning of a safetensors file that is still on the hub. */
export interface RemoteHeader {
  /** Size of the whole file in bytes. */
  readonly size: number;
  /** The file's first bytes: at least the 8-byte length and the JSON header. */
  readonly header: Buffer;
}

/** Everything a plan needs, read before any weight is fetched. */
export interface RemoteHeaders {
  /** Small files by name: configuration, index, tokenizer. */
  readonly texts: ReadonlyMap<string, Buffer>;
  /** Safetensors files by name, in the order of the source's `files`. */
  readonly headers: ReadonlyMap<string, RemoteHeader>;
}

/** Covers most headers with one request (formats.md §1.1). */
const FIRST_BYTES = 100_000;
const MAX_HEADER_BYTES = 100_000_000;
const AT_ONCE = 8;

/**
 * Reads config.json, the index, and the headers of the remote safetensors files by range, so that the whole
 * plan can be made before weights are fetched. Transfers a few hundred kilobytes.
 * @throws {SourceError} E_DOWNLOAD_…, E_HUB_…, E_REMOTE_HEADER
 */
export async function openRemoteHeaders(
  source: RemoteSource,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<RemoteHeaders> {
  const remote: RemoteModel = { client: await openHub(options, deps), model: source.model, deps };
  const wanted = source.files.filter((file) => file.path.endsWith(".safetensors"));
  const small = source.files.filter((file) => /^config\.json$|\.index\.json$/.test(file.path));
  const [headers, texts] = await Promise.all([
    inTurns(wanted, (file) => readHeader(remote, file)),
    inTurns(small, (file) => readRemoteFile(remote, file)),
  ]);
  return { headers, texts };
}

async function inTurns<T>(
  files: readonly RemoteFile[],
  read: (file: RemoteFile) => Promise<T>,
): Promise<Map<string, T>> {
  const found = new Map<string, T>();
  for (let at = 0; at < files.length; at += AT_ONCE) {
    const group = files.slice(at, at + AT_ONCE);
    const values = await Promise.all(group.map(async (file) => [file.path, await read(file)] as const));
    for (const [name, value] of values) found.set(name, value);
  }
  return found;
}

async function readHeader(remote: RemoteModel, file: RemoteFile): Promise<RemoteHeader> {
  const content = new RemoteContent(remote.client, remote.model, file, remote.deps);
  const refuse = (found: string) =>
    new SourceError("E_REMOTE_HEADER", `${file.path} on the hub is no safetensors file: ${found}`);
  if (file.size < 8) throw refuse(`it has ${file.size} bytes`);
  const first = await readRemoteRange(remote, content, [0, Math.min(FIRST_BYTES, file.size)]);
  const end = 8 + Number(first.readBigUInt64LE(0));
  if (end > MAX_HEADER_BYTES + 8) throw refuse(`its header would have ${end - 8} bytes`);
  if (end > file.size) throw refuse(`its header would end at byte ${end} of ${file.size}`);
  if (end <= first.byteLength) return { size: file.size, header: first };
  const rest = await readRemoteRange(remote, content, [first.byteLength, end]);
  return { size: file.size, header: Buffer.concat([first, rest]) };
}
