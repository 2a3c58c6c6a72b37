import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import path from "node:path";

/** The bytes of one served file: in memory, on disk, or made up on the fly (for sizes no disk has). */
export type HubContent =
  | Uint8Array
  | { readonly path: string; readonly size: number }
  | {
      readonly size: number;
      readonly sha256: string;
      readonly fill: (offset: number, nbytes: number) => Buffer;
    };

/** What the hub says about one file. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Present for files in large-file storage. */
  readonly sha256?: string;
  /** Git blob SHA-1 of the file, or of its pointer. */
  readonly oid: string;
  readonly content: HubContent;
}

/** One state of a repository. */
export interface HubCommit {
  readonly sha: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

/** One repository, and who may see it. */
export interface HubRepository {
  readonly id: string;
  /** Branch, tag or `refs/pr/N` → commit. */
  readonly refs: Map<string, HubCommit>;
  readonly access: "public" | "private" | "gated" | "disabled";
}

/** The text that stands for a large file in git (formats.md §13). */
export function lfsPointer(sha256: string, size: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
}

/** SHA-1 of `"blob " + length + "\0" + content`, as git names content. */
export function gitBlobSha1(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.byteLength}\0`).update(content).digest("hex");
}

/** Makes a commit of named contents; weights and anything from 1 MiB on go to large-file storage. */
export async function makeCommit(contents: ReadonlyMap<string, HubContent>): Promise<HubCommit> {
  const files = new Map<string, HubFile>();
  for (const [name, content] of contents) files.set(name, await describe(name, content));
  const identity = [...files.values()].map((file) => `${file.path}\0${file.oid}\n`).sort();
  return { sha: createHash("sha1").update(identity.join("")).digest("hex"), files };
}

/** Makes a commit of a folder on disk, dot files left out. */
export async function commitOfFolder(folder: string): Promise<HubCommit> {
  const contents = new Map<string, HubContent>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.startsWith(".")) continue;
    const full = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, full).split(path.sep).join("/");
    contents.set(name, { path: full, size: (await stat(full)).size });
  }
  return makeCommit(contents);
}

/** Reads ranges of one file's content until it is closed. */
export interface ContentReader {
  read(offset: number, nbytes: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** Opens a file's content; close it. */
export async function openContent(content: HubContent): Promise<ContentReader> {
  const close = () => Promise.resolve();
  if (content instanceof Uint8Array) {
    return { read: async (offset, nbytes) => Buffer.from(content.subarray(offset, offset + nbytes)), close };
  }
  if ("fill" in content) return { read: async (offset, nbytes) => content.fill(offset, nbytes), close };
  const handle = await open(content.path);
  const read = async (offset: number, nbytes: number) => {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(nbytes), 0, nbytes, offset);
    return buffer.subarray(0, bytesRead);
  };
  return { read, close: () => handle.close() };
}

async function describe(name: string, content: HubContent): Promise<HubFile> {
  const size = content instanceof Uint8Array ? content.byteLength : content.size;
  if (/\.(safetensors|bin|pt|gguf|model)$/.test(name) || size >= 1 << 20) {
    const sha256 = await sha256Of(content);
    return { path: name, size, sha256, oid: gitBlobSha1(Buffer.from(lfsPointer(sha256, size))), content };
  }
  const reader = await openContent(content);
  const bytes = await reader.read(0, size).finally(() => reader.close());
  return { path: name, size, oid: gitBlobSha1(bytes), content };
}

async function sha256Of(content: HubContent): Promise<string> {
  if (content instanceof Uint8Array) return createHash("sha256").update(content).digest("hex");
  if ("fill" in content) return content.sha256;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(content.path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
