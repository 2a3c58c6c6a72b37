import { rm, stat } from "node:fs/promises";
import path from "node:path";
import type { AcquiredModel } from "./acquire.ts";
import { inspectConverted, leaveStage, openStage, publishStage, writeManifest } from "./converted-cache.ts";
import { downloadAll } from "./download-all.ts";
import type { DownloadContext } from "./download-file.ts";
import { type Acquisition, fetchFile, hashText } from "./fetch-files.ts";
import { inspectFolder } from "./folder-state.ts";
import { withLock } from "./lock.ts";
import { openHub } from "./options.ts";
import { partFolder } from "./part-folder.ts";

const PARTS = ".parts";

/** Downloads a converted model beside its place, verifies it, and puts it there as a whole. */
export async function acquireConverted(work: Acquisition, target: string): Promise<AcquiredModel> {
  const { deps, source } = work;
  const lock = path.join(path.dirname(target), `.${path.basename(target)}.mlc-convert.lock`);
  const begun = Date.now();
  const onWait = () =>
    deps.onEvent({
      type: "notice",
      message: `waiting for another process that fetches ${source.model.repo}`,
    });
  return withLock(
    lock,
    async () => {
      if (!(await madeMeanwhile(target, begun))) await fill(work, target, begun);
      return describe(work, target);
    },
    { signal: deps.signal, onWait },
  );
}

/** Another process finished the entry while this one waited. */
async function madeMeanwhile(target: string, begun: number): Promise<boolean> {
  const stats = await stat(target).catch(() => undefined);
  return stats !== undefined && stats.ctimeMs >= begun && (await inspectFolder(target)).state === "complete";
}

async function fill(work: Acquisition, target: string, begun: number): Promise<void> {
  const { model, files } = work.source;
  const stage = await openStage(target, model.commit);
  try {
    await fetchInto(work, { stage, target, begun });
    if (!work.options.skipWeights) await inspectConverted(stage);
  } catch (error) {
    await leaveStage(stage);
    throw error;
  }
  await rm(path.join(stage, PARTS), { recursive: true, force: true });
  const listed = files.map((file) => ({ path: file.path, size: file.size, hash: hashText(file) }));
  await writeManifest(stage, { ...model, files: listed });
  await publishStage(stage, target);
}

/** Brings every file into the stage; sound files of the old entry are reused unless all is to be replaced. */
async function fetchInto(
  { source, settings, options, deps }: Acquisition,
  { stage, target, begun }: { stage: string; target: string; begun: number },
): Promise<void> {
  const { model, files, decision } = source;
  const client = await openHub(options, deps);
  const beside = path.join(stage, PARTS);
  const folder = await partFolder(
    { temp: settings.temp, repo: model.repo, destination: stage, beside },
    deps,
  );
  const old = decision.use === "replace" ? [] : [target];
  const jobs = files.map((file) => ({
    name: file.path,
    size: file.size,
    run: (context: DownloadContext) => {
      const parts = file.path.split("/");
      const candidates = old.map((folder) => path.join(folder, ...parts));
      const places = { target: path.join(stage, ...parts), partFolder: folder, candidates };
      return fetchFile(
        { file, ...places, lock: undefined, replace: false },
        { client, model, begun },
        context,
      );
    },
  }));
  await downloadAll(jobs, deps, options.download);
}

function describe({ source }: Acquisition, target: string): AcquiredModel {
  const { files, model, notices } = source;
  return {
    folder: path.resolve(target),
    model: "converted",
    files: files.map((file) => file.path),
    source: model.repo,
    commit: model.commit,
    verified: new Map(files.map((file) => [file.path, hashText(file)])),
    notices,
  };
}
