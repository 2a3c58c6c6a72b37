import { copyFile, link, realpath, rename, stat } from "node:fs/promises";
import path from "node:path";
import type { Owner } from "../core/owner.ts";
import type { SourceDeps } from "./deps.ts";
import { makeFolder } from "./disk.ts";
import { type DownloadContext, downloadFile } from "./download-file.ts";
import { type ExpectedHash, hashFile } from "./hash-follower.ts";
import type { HubClient, HubModel, RemoteFile } from "./hub-client.ts";
import { withLock } from "./lock.ts";
import type { Settings, SourceOptions } from "./options.ts";
import { RemoteContent } from "./remote-content.ts";
import type { RemoteSource } from "./resolved.ts";

/** One acquisition of a remote source. */
export interface Acquisition {
  readonly source: RemoteSource;
  readonly settings: Settings;
  readonly options: SourceOptions;
  readonly deps: SourceDeps;
}

/** Where one file goes, and where it might be already. */
export interface FetchPlan {
  readonly file: RemoteFile;
  readonly target: string;
  /** Folder for the temporary file; on the same volume as the target. */
  readonly partFolder: string;
  /** Files that may hold the same content. */
  readonly candidates: readonly string[];
  readonly lock: string | undefined;
  /** Fetch even if the target is there. */
  readonly replace: boolean;
}

/** The hash that the hub's list says. */
export function hashOf(file: RemoteFile): ExpectedHash {
  return file.sha256 === undefined
    ? { algorithm: "git-sha1", hex: file.oid }
    : { algorithm: "sha256", hex: file.sha256 };
}

/** The same as text, `sha256:…` or `git-sha1:…`. */
export function hashText(file: RemoteFile): string {
  const { algorithm, hex } = hashOf(file);
  return `${algorithm}:${hex}`;
}

/**
 * Makes one file be at its target with the right content: leaves it if it is, takes it from a candidate, or
 * downloads it. Other processes that want the same file wait and then find it.
 */
export async function fetchFile(
  plan: FetchPlan,
  how: { client: HubClient; model: HubModel; begun: number },
  context: DownloadContext,
): Promise<void> {
  const work = async () => {
    if (await isSound(plan, how.begun)) return;
    if (!plan.replace && (await takeCandidate(plan))) return;
    const expected = hashOf(plan.file);
    const { repo, commit } = how.model;
    const identity = {
      origin: `${repo}@${commit}/${plan.file.path}`,
      size: plan.file.size,
      hash: hashText(plan.file),
    };
    await downloadFile(
      {
        content: new RemoteContent(how.client, how.model, plan.file, context.deps),
        expected,
        part: { folder: plan.partFolder, stem: expected.hex, identity },
        target: plan.target,
      },
      context,
    );
  };
  if (plan.lock === undefined) return work();
  // Two files of a model can have the same content, and then wait for each other.
  const onWait = (owner: Owner | undefined) => {
    if (owner?.pid === process.pid) return;
    const message = `waiting for another process that fetches ${plan.file.path}`;
    context.deps.onEvent({ type: "notice", message });
  };
  await withLock(plan.lock, work, { signal: context.signal, onWait });
}

/** The target is there with the right content. A file that appeared since this run began was verified by its maker. */
async function isSound({ file, target, replace }: FetchPlan, begun: number): Promise<boolean> {
  const stats = await stat(target).catch(() => undefined);
  if (stats?.size !== file.size) return false;
  if (stats.ctimeMs >= begun) return true;
  return !replace && (await hasHash(target, file));
}

async function hasHash(target: string, file: RemoteFile): Promise<boolean> {
  const expected = hashOf(file);
  return (await hashFile(target, file.size, expected)) === expected.hex;
}

/** Links or copies verified content from elsewhere; the other cache is only read. */
async function takeCandidate({ file, target, candidates, partFolder }: FetchPlan): Promise<boolean> {
  for (const candidate of candidates) {
    if ((await stat(candidate).catch(() => undefined))?.size !== file.size) continue;
    if (!(await hasHash(candidate, file))) continue;
    await makeFolder(partFolder);
    await makeFolder(path.dirname(target));
    await placeCopy(candidate, target);
    return true;
  }
  return false;
}

async function placeCopy(candidate: string, target: string): Promise<void> {
  const fresh = `${target}.${process.pid}.new`;
  const real = await realpath(candidate);
  await link(real, fresh).catch(() => copyFile(real, fresh));
  await rename(fresh, target);
}
