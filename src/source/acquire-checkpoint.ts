import path from "node:path";
import type { AcquiredModel } from "./acquire.ts";
import { downloadAll } from "./download-all.ts";
import type { DownloadContext } from "./download-file.ts";
import { type Acquisition, type FetchPlan, fetchFile, hashText } from "./fetch-files.ts";
import { blobName } from "./hub-cache.ts";
import type { RemoteFile } from "./hub-client.ts";
import { openHub } from "./options.ts";
import { cleanParts } from "./part-file.ts";
import { partFolder } from "./part-folder.ts";

/**
 * Downloads a checkpoint into the cache, blob by blob, and returns its snapshot. The revision is noted last.
 */
export async function acquireCheckpoint(work: Acquisition): Promise<AcquiredModel> {
  const { source, settings, options, deps } = work;
  const { model, files } = source;
  const { cache } = settings;
  const begun = Date.now();
  await cache.prepare(model.repo);
  const blobs = cache.blobs(model.repo);
  const place = { temp: settings.temp, repo: model.repo, destination: blobs, beside: blobs };
  const parts = await partFolder(place, deps);
  for (const folder of new Set([blobs, parts])) await cleanParts(folder, begun);
  const client = await openHub(options, deps);
  const jobs = files.map((file) => ({
    name: file.path,
    size: file.size,
    run: async (context: DownloadContext) => {
      await fetchFile(planOf(work, file, parts), { client, model, begun }, context);
      await cache.publish(model, file.path, blobName(file));
    },
  }));
  await downloadAll(jobs, deps, options.download);
  await cache.writeTree(model, source.allFiles);
  await cache.writeRef(model);
  return {
    folder: path.resolve(cache.snapshot(model.repo, model.commit)),
    model: "checkpoint",
    files: files.map((file) => file.path),
    source: model.repo,
    commit: model.commit,
    verified: new Map(files.map((file) => [file.path, hashText(file)])),
    notices: source.notices,
  };
}

function planOf({ source, settings }: Acquisition, file: RemoteFile, parts: string): FetchPlan {
  const { model } = source;
  const blob = blobName(file);
  const folder = settings.cache.blobs(model.repo);
  const elsewhere = settings.hfCache;
  const snapshots = [settings.cache, ...(elsewhere ? [elsewhere] : [])].map((cache) =>
    path.join(cache.snapshot(model.repo, model.commit), ...file.path.split("/")),
  );
  return {
    file,
    target: path.join(folder, blob),
    partFolder: parts,
    candidates: [...(elsewhere ? [path.join(elsewhere.blobs(model.repo), blob)] : []), ...snapshots],
    lock: settings.cache.lock(model.repo, blob),
    replace: source.decision.use === "replace",
  };
}
