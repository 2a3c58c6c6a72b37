import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { listProblems, SourceError } from "../core/errors.ts";
import { isAlive, thisProcess } from "../core/owner.ts";
import { flushFolder, makeFolder } from "./disk.ts";
import { convertedIndex, parseRecords } from "./file-choice.ts";
import { hashFile } from "./hash-follower.ts";
import type { HubName } from "./model-name.ts";

/** Notes where an entry came from; other programs ignore it. */
export const MANIFEST = ".mlc-convert.json";
/** Stands for the process number in the name of a stage that its owner gave up. */
const ABANDONED = 0;

/** `<root>/<org>/<repo>`, or `<repo>@<revision>` for anything but main; `/` in a revision becomes `--`. */
export function convertedFolder(
  root: string,
  { repo, revision }: Pick<HubName, "repo" | "revision">,
): string {
  const suffix = revision === "main" ? "" : `@${revision.replaceAll("/", "--")}`;
  const [org = "", name = ""] = repo.split("/");
  return path.join(root, org, name + suffix);
}

/**
 * A folder beside `target` that only this process writes. What a dead process left of the same commit is
 * taken over; leftovers of other commits are removed.
 */
export async function openStage(target: string, commit: string): Promise<string> {
  const parent = path.dirname(target);
  await makeFolder(parent);
  const prefix = `${path.basename(target)}.incomplete-`;
  const mine = path.join(
    parent,
    `${prefix}${commit.slice(0, 12)}-${hostTag()}-${process.pid}-${randomBytes(4).toString("hex")}`,
  );
  for (const name of await readdir(parent)) {
    const [, left, host, pid] =
      /^([0-9a-f]{12})-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length)) ?? [];
    if (!name.startsWith(prefix) || left === undefined) continue;
    if (!(await isAbandoned(path.join(parent, name), host, Number(pid)))) continue;
    if (left !== commit.slice(0, 12)) await rm(path.join(parent, name), { recursive: true, force: true });
    else if (await moved(path.join(parent, name), mine)) return mine;
  }
  await mkdir(mine);
  return mine;
}

/** Stages and replaced entries below `root` whose owners are gone. */
export async function abandonedStages(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const org of await readdir(root).catch(() => [])) {
    for (const name of await readdir(path.join(root, org)).catch(() => [])) {
      const [, host, pid] = /\.incomplete-[0-9a-f]{12}-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}$/.exec(name) ?? [];
      const folder = path.join(root, org, name);
      const replaced = /\.old-[0-9a-f]{8}$/.test(name) && (await isAbandoned(folder, undefined, -1));
      if (replaced || (host !== undefined && (await isAbandoned(folder, host, Number(pid)))))
        found.push(folder);
    }
  }
  return found;
}

/** Leaves an unfinished stage for whoever comes next. */
export async function leaveStage(stage: string): Promise<void> {
  await moved(stage, stage.replace(/-\d+-([0-9a-f]{8})$/, `-${ABANDONED}-$1`));
}

/** Puts a finished stage in place of `target`; the old entry comes back if that fails. */
export async function publishStage(stage: string, target: string): Promise<void> {
  const parent = path.dirname(target);
  await flushFolder(stage);
  const old = `${target}.old-${randomBytes(4).toString("hex")}`;
  const replaced = await moved(target, old);
  try {
    await rename(stage, target);
  } catch (error) {
    if (replaced) await rename(old, target);
    throw error;
  }
  await flushFolder(parent);
  if (replaced) await rm(old, { recursive: true, force: true });
}

/** Writes the note about an entry's origin. */
export async function writeManifest(
  folder: string,
  manifest: {
    repo: string;
    revision: string;
    commit: string;
    files: readonly { path: string; size: number; hash: string }[];
  },
): Promise<void> {
  await writeFile(path.join(folder, MANIFEST), JSON.stringify(manifest, null, 2), { flush: true });
}

/**
 * Compares the shards of a converted model with the MD5 its index says; shards without one are named.
 * @throws {SourceError} E_DOWNLOAD_MD5 listing all that differ
 */
export async function inspectConverted(folder: string): Promise<{ unverified: readonly string[] }> {
  const names = new Set(await readdir(folder));
  const index = convertedIndex(names);
  if (index === undefined) throw new SourceError("E_INDEX", `${folder} has no tensor-cache.json`);
  const problems: string[] = [];
  const unverified: string[] = [];
  for (const { name, md5 } of parseRecords(await readFile(path.join(folder, index), "utf8"), index)) {
    const file = path.join(folder, name);
    const { size } = await stat(file);
    if (md5 === undefined) unverified.push(name);
    else {
      const found = await hashFile(file, size, { algorithm: "md5", hex: md5 });
      if (found !== md5.toLowerCase()) problems.push(`${file}: expected md5 ${md5}, found ${found}`);
    }
  }
  if (problems.length === 0) return { unverified };
  throw new SourceError(
    "E_DOWNLOAD_MD5",
    `shards differ from the model's own index:\n${listProblems(problems)}`,
    {
      hint: "Download the model again with the policy REDO; if it stays, the repository is damaged.",
    },
  );
}

/** Stands for where process numbers mean something. */
function hostTag(): string {
  const { host, space = "" } = thisProcess();
  return createHash("sha1").update(`${host} ${space}`).digest("hex").slice(0, 8);
}

async function isAbandoned(folder: string, host: string | undefined, pid: number): Promise<boolean> {
  if (pid === ABANDONED) return true;
  if (host === hostTag()) return isAlive({ ...thisProcess(), pid }) === false;
  const stats = await stat(folder).catch(() => undefined);
  return stats !== undefined && Date.now() - stats.mtimeMs > 86_400_000;
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch {
    return false;
  }
}
