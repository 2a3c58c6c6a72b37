import type { NamedFile } from "../core/byte-source.ts";
import type { SourceDeps } from "./deps.ts";
import type { RemoteFile } from "./hub-client.ts";
import { openHub, type SourceOptions } from "./options.ts";
import { type RemoteModel, readRemoteRange } from "./read-remote.ts";
import { RemoteContent } from "./remote-content.ts";
import type { RemoteSource } from "./resolved.ts";

/**
 * The chosen files of a remote source as files whose bytes are fetched when they are read. What was fetched from a
 * file's start is kept, so that a header that is read in growing pieces is transferred once.
 * @throws {SourceError} E_DOWNLOAD_…, E_HUB_… (from reading)
 */
export async function openRemoteFiles(
  source: RemoteSource,
  options: SourceOptions,
  deps: SourceDeps,
): Promise<readonly NamedFile[]> {
  const remote: RemoteModel = { client: await openHub(options, deps), model: source.model, deps };
  return source.files.map((file) => remoteFile(remote, file));
}

function remoteFile(remote: RemoteModel, file: RemoteFile): NamedFile {
  const { repo, commit } = remote.model;
  const content = new RemoteContent(remote.client, remote.model, file, remote.deps);
  let start = Buffer.alloc(0);
  return {
    name: file.path,
    path: `${repo}@${commit}/${file.path}`,
    size: file.size,
    read: async (from, to) => {
      if (from > start.length) return readRemoteRange(remote, content, [from, to]);
      if (to > start.length) {
        start = Buffer.concat([start, await readRemoteRange(remote, content, [start.length, to])]);
      }
      return start.subarray(from, to);
    },
  };
}
