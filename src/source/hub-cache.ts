import { randomBytes } from "node:crypto";
import {
  copyFile,
  lstat,
  readFile,
  readlink,
  rename,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { isObject, parseJson, toNumber } from "../core/json.ts";
import { flushFolder, makeFolder } from "./disk.ts";
import type { ExpectedHash } from "./hash-follower.ts";
import type { HubModel, RemoteFile } from "./hub-client.ts";
import { isCommit } from "./model-name.ts";

const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This file marks a cache folder, which backups may leave out.
`;

/** A file's content in a blobs folder is named by its hash. */
export function blobName(file: RemoteFile): string {
  return file.sha256 ?? file.oid;
}

/** The hash that a blob's name promises. */
export function blobHash(name: string): ExpectedHash | undefined {
  if (/^[0-9a-f]{64}$/.test(name)) return { algorithm: "sha256", hex: name };
  return /^[0-9a-f]{40}$/.test(name) ? { algorithm: "git-sha1", hex: name } : undefined;
}

/** A cache in the layout of the Hugging Face hub's own clients (formats.md §11). Reading writes nothing. */
export class HubCache {
  readonly root: string;
  private symlinks: boolean | undefined;

  /** @param symlinks `false` where links must not be made; probed when absent */
  constructor(root: string, symlinks?: boolean) {
    this.root = root;
    this.symlinks = symlinks;
  }

  folder(repo: string): string {
    return path.join(this.root, `models--${repo.replaceAll("/", "--")}`);
  }

  blobs(repo: string): string {
    return path.join(this.folder(repo), "blobs");
  }

  snapshot(repo: string, commit: string): string {
    return path.join(this.folder(repo), "snapshots", commit);
  }

  lock(repo: string, blob: string): string {
    return path.join(this.root, ".locks", path.basename(this.folder(repo)), `${blob}.mlc-convert.lock`);
  }

  /** The commit that a revision was when it was last fetched; never some other snapshot. */
  async readRef(repo: string, revision: string): Promise<{ commit: string; since: number } | undefined> {
    const file = path.join(this.folder(repo), "refs", ...revision.split("/"));
    const text = await readFile(file, "utf8").catch(() => "");
    const commit = text.trim();
    if (isCommit(commit)) return { commit, since: (await stat(file)).mtimeMs };
    return isCommit(revision) ? { commit: revision, since: Date.now() } : undefined;
  }

  /** A file's real path if its content is there. */
  async find(repo: string, commit: string, name: string): Promise<string | undefined> {
    const file = path.join(this.snapshot(repo, commit), ...name.split("/"));
    const stats = await stat(file).catch(() => undefined);
    return stats?.isFile() ? file : undefined;
  }

  /** Sizes by name as an earlier file list said them. */
  async readTree(repo: string, commit: string): Promise<ReadonlyMap<string, RemoteFile> | undefined> {
    const text = await readFile(this.tree(repo, commit), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return parseTree(text);
    } catch {
      return undefined;
    }
  }

  /** Creates the cache's folders and learns whether links work here. */
  async prepare(repo: string): Promise<void> {
    await makeFolder(this.blobs(repo));
    await writeFile(path.join(this.root, "CACHEDIR.TAG"), TAG, { flag: "wx" }).catch(() => {});
    this.symlinks ??= await canLink(this.blobs(repo));
  }

  /** Makes a blob appear in a snapshot: as a relative link, or as the file itself where links do not work. */
  async publish(model: HubModel, name: string, blob: string): Promise<void> {
    const entry = path.join(this.snapshot(model.repo, model.commit), ...name.split("/"));
    const source = path.join(this.blobs(model.repo), blob);
    await makeFolder(path.dirname(entry));
    const fresh = `${entry}.${randomBytes(4).toString("hex")}.new`;
    if (this.symlinks) {
      const target = path.relative(path.dirname(entry), source);
      if ((await readlink(entry).catch(() => undefined)) === target) return;
      await symlink(target, fresh);
      await rename(fresh, entry);
    } else if (await isReferenced(source)) {
      await copyFile(source, fresh);
      await rename(fresh, entry);
    } else {
      await rename(source, entry);
    }
    await flushFolder(path.dirname(entry));
  }

  /** Notes the file list of a commit, for checks without the network. */
  async writeTree(model: HubModel, files: readonly RemoteFile[]): Promise<void> {
    const entries = files.map(({ path: name, size, oid, sha256 }) => {
      const lfs = sha256 === undefined ? {} : { lfs_sha256: sha256, lfs_size: size };
      return [name, { size, blob_id: oid, ...lfs }];
    });
    const tree = { format_version: 1, files: Object.fromEntries(entries) };
    await writeWhole(this.tree(model.repo, model.commit), JSON.stringify(tree));
  }

  /** Notes what a revision is now. Call it when everything is in place. */
  async writeRef({ repo, revision, commit }: HubModel): Promise<void> {
    if (revision === commit) return;
    await writeWhole(path.join(this.folder(repo), "refs", ...revision.split("/")), commit);
  }

  private tree(repo: string, commit: string): string {
    return path.join(this.folder(repo), "trees", `${commit}.json`);
  }
}

function parseTree(text: string): ReadonlyMap<string, RemoteFile> | undefined {
  const json = parseJson(text);
  const files = isObject(json) && json.get("format_version") === 1 ? json.get("files") : undefined;
  if (!isObject(files)) return undefined;
  const tree = new Map<string, RemoteFile>();
  for (const [name, entry] of files) {
    if (!isObject(entry)) return undefined;
    const [size, oid, sha256] = [toNumber(entry.get("size")), entry.get("blob_id"), entry.get("lfs_sha256")];
    if (size === undefined || typeof oid !== "string") return undefined;
    const file = { path: name, size: toNumber(entry.get("lfs_size")) ?? size, oid };
    tree.set(name, typeof sha256 === "string" ? { ...file, sha256 } : file);
  }
  return tree;
}

/** Blobs that are links themselves lead into a store that newer clients share between repositories. */
async function isReferenced(blob: string): Promise<boolean> {
  return (await lstat(blob)).isSymbolicLink();
}

async function canLink(folder: string): Promise<boolean> {
  const probe = path.join(folder, `.probe-${randomBytes(4).toString("hex")}`);
  try {
    await symlink("nothing", probe);
    await unlink(probe);
    return true;
  } catch {
    return false;
  }
}

/** Writes a small file through a temporary name, so that readers see the old or the new one. */
export async function writeWhole(file: string, text: string): Promise<void> {
  await makeFolder(path.dirname(file));
  const fresh = `${file}.${randomBytes(4).toString("hex")}.new`;
  await writeFile(fresh, text, { flush: true });
  await rename(fresh, file);
  await flushFolder(path.dirname(file));
}
