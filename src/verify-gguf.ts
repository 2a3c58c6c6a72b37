import { existsSync } from "node:fs";
import { open, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openGgufParts, readGgufFiles } from "./checkpoint/gguf.ts";
import { CheckpointError, OutputError } from "./core/errors.ts";
import { ggufGroups } from "./core/gguf-files.ts";
import type { HashedPart } from "./execute/hash-files.ts";
import { GGUF_INDEX_NAME, type IndexedGguf, parseGgufIndex } from "./gguf/index-file.ts";
import type { Fault, VerifyResult } from "./tensor-cache/verify.ts";

/** MD5s of parts of files; `undefined` where there are no such bytes. */
export type HashParts = (parts: readonly HashedPart[]) => Promise<readonly (string | undefined)[]>;

/** What was checked of GGUF files, and what could not be. */
export interface GgufVerification extends VerifyResult {
  readonly notices: readonly string[];
}

/** True for a GGUF file, and for a folder with GGUF files and no index of another format. */
export async function isGgufOutput(path: string, indexes: readonly string[]): Promise<boolean> {
  if (path.endsWith(".gguf")) return true;
  const names: readonly string[] = await readdir(path).catch(() => []);
  return names.some((name) => name.endsWith(".gguf")) && !indexes.some((name) => names.includes(name));
}

/**
 * Checks GGUF files: that their headers are whole, that every tensor lies inside its file, and, where the index of a
 * conversion lies beside them, that every byte is the one that was written.
 * @param path absolute; a file, a part, or a folder
 * @throws {OutputError} `E_GGUF_INDEX` for an index that cannot be read
 */
export async function verifyGguf(path: string, hash: HashParts): Promise<GgufVerification> {
  const single = path.endsWith(".gguf");
  const folder = single ? dirname(path) : path;
  const indexed = await readIndexOf(folder);
  const wanted = single ? await partsOf(path) : undefined;
  const listed = indexed.filter(({ name }) => wanted?.has(name) ?? true);
  const models = single ? [basename(path)] : await modelsIn(folder, listed);
  const faults: Fault[] = [];
  let tensors = 0;
  let nbytes = 0;
  for (const name of models) {
    const found = await headerOf(join(folder, name));
    faults.push(...found.faults);
    tensors += found.tensors;
    nbytes += found.nbytes;
  }
  faults.push(...(await contentFaults(folder, listed, hash)));
  const unlisted = listed.length === 0;
  return {
    index: unlisted ? "" : GGUF_INDEX_NAME,
    shards: unlisted ? models.length : listed.length,
    tensors,
    nbytes,
    faults,
    notices: unlisted
      ? [
          `No ${GGUF_INDEX_NAME} lists these files: headers and sizes were checked, the tensors' bytes could not be.`,
        ]
      : [],
  };
}

async function readIndexOf(folder: string): Promise<readonly IndexedGguf[]> {
  const file = join(folder, GGUF_INDEX_NAME);
  return existsSync(file) ? parseGgufIndex(await readFile(file, "utf8")) : [];
}

async function partsOf(path: string): Promise<ReadonlySet<string>> {
  const parts = await openGgufParts(path).catch(() => []);
  return new Set([basename(path), ...parts.map(({ name }) => name)]);
}

/** First parts of all models: those that are there, and those that should be. */
async function modelsIn(folder: string, listed: readonly IndexedGguf[]): Promise<readonly string[]> {
  const there = (await readdir(folder)).map((name) => ({ name, size: 0 }));
  const names = [...listed.map(({ name, size }) => ({ name, size })), ...there];
  const unique = new Map(names.map((file) => [file.name, file]));
  return ggufGroups([...unique.values()]).map(({ name }) => name);
}

interface HeaderFindings {
  readonly faults: readonly Fault[];
  readonly tensors: number;
  readonly nbytes: number;
}

async function headerOf(path: string): Promise<HeaderFindings> {
  try {
    const { files, tensors } = await readGgufFiles(await openGgufParts(path));
    const nbytes = files.reduce((sum, { size }) => sum + size, 0);
    return { faults: [], tensors: tensors.size, nbytes };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { faults: [{ file: basename(path), problem: error.message }], tensors: 0, nbytes: 0 };
  }
}

async function contentFaults(
  folder: string,
  files: readonly IndexedGguf[],
  hash: HashParts,
): Promise<readonly Fault[]> {
  const parts = files.flatMap(({ name, segments }) =>
    segments.map(({ start, nbytes }) => ({ path: join(folder, name), range: { start, nbytes } })),
  );
  const digests = await hash(parts);
  const faults: Fault[] = [];
  let at = 0;
  for (const file of files) {
    const found = digests.slice(at, at + file.segments.length);
    at += file.segments.length;
    faults.push(...(await fileFaults(folder, file, found)));
  }
  return faults;
}

async function fileFaults(
  folder: string,
  { name: file, size, segments }: IndexedGguf,
  digests: readonly (string | undefined)[],
): Promise<readonly Fault[]> {
  const handle = await open(join(folder, file)).catch(() => undefined);
  if (!handle) return [{ file, problem: "the file is missing" }];
  try {
    const found = (await handle.stat()).size;
    if (found !== size) return [{ file, problem: `expected ${size} bytes, found ${found}` }];
    const faults: Fault[] = segments.flatMap(({ start, nbytes, md5 }, index) =>
      digests[index] === md5
        ? []
        : [
            {
              file,
              problem: `bytes ${start} to ${start + nbytes}: expected MD5 ${md5}, found ${digests[index]}`,
            },
          ],
    );
    let end = 0;
    for (const { start, nbytes } of [...segments, { start: size, nbytes: 0 }]) {
      if (start < end) throw overlapping(file, start);
      const gap = new Uint8Array(start - end);
      await handle.read(gap, 0, gap.length, end);
      if (gap.some((byte) => byte !== 0))
        faults.push({ file, problem: `padding at byte ${end} is not zero` });
      end = start + nbytes;
    }
    return faults;
  } finally {
    await handle.close();
  }
}

const overlapping = (file: string, start: number): OutputError =>
  new OutputError("E_GGUF_INDEX", `${GGUF_INDEX_NAME}: segments of ${file} overlap at byte ${start}`);
