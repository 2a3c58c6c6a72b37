import type { ByteSource } from "../core/byte-source.ts";
import { layoutOf } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { inParallel } from "./in-parallel.ts";
import { readPickle } from "./pickle-machine.ts";
import type { TorchContainer } from "./torch-container.ts";
import { TorchMeanings, type TorchStorage } from "./torch-objects.ts";
import { locateZipContent, readZipDirectory, readZipEntry, type ZipEntry } from "./zip-directory.ts";

/** 250 000 tensors take about 50 MB. */
const MAX_PICKLE_BYTES = 256 * 1024 * 1024;
const READS_AT_ONCE = 8;

/**
 * Reads the zip container of torch.save (formats.md §2.2): directory, pickle and the place of each storage. In a
 * remote file the place is where the storage's header starts; tensors of it can be planned, not read.
 *
 * @throws {CheckpointError}
 */
export async function readTorchZip(source: ByteSource, where: string): Promise<TorchContainer> {
  const entries = await readZipDirectory(source, where);
  const folder = findFolder(entries, where);
  await refuseBigEndian(source, entries.get(`${folder}/byteorder`), where);
  const pickleEntry = entries.get(`${folder}/data.pkl`);
  if (pickleEntry === undefined) throw noPickle(where);
  const bytes = await readZipEntry(source, pickleEntry, { where, maxBytes: MAX_PICKLE_BYTES });
  const meanings = new TorchMeanings();
  const { value } = readPickle(bytes, meanings, { where: `${where}: ${pickleEntry.name}` });
  const storages = new Map(
    meanings.storages.map((storage) => [`${storage.key} ${byteLength(storage)}`, storage]),
  );
  const located = await inParallel([...storages.values()], READS_AT_ONCE, async (storage) => {
    const entry = findStorage(entries, `${folder}/data/${storage.key}`, storage, where);
    return [storage.key, entry === undefined ? 0 : await placeOf(source, entry, where)] as const;
  });
  return { object: value, storageOffsets: new Map(located), notices: [] };
}

/** Where a storage's bytes start. Of a remote file that takes a request each, so the directory's word must do. */
async function placeOf(source: ByteSource, entry: ZipEntry, where: string): Promise<number> {
  return source.remote ? entry.headerOffset : locateZipContent(source, entry, where);
}

/** The folder that everything in the archive lies in; its name is arbitrary. */
function findFolder(entries: ReadonlyMap<string, ZipEntry>, where: string): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle, second] = pickles;
  if (pickle === undefined || second !== undefined) throw noPickle(where);
  const folder = pickle.slice(0, pickle.indexOf("/"));
  if (entries.has(`${folder}/constants.pkl`)) {
    throw new CheckpointError(
      "E_TORCH_CONTAINER",
      `${where}: expected a state dict, found a TorchScript archive`,
      {
        hint: "Load it with PyTorch and save its state dict with torch.save, or as safetensors.",
      },
    );
  }
  return folder;
}

async function refuseBigEndian(
  source: ByteSource,
  entry: ZipEntry | undefined,
  where: string,
): Promise<void> {
  if (entry === undefined) return;
  const bytes = await readZipEntry(source, entry, { where, maxBytes: 64 });
  const order = new TextDecoder().decode(bytes).trim();
  if (order === "little") return;
  throw new CheckpointError(
    "E_TORCH_BYTE_ORDER",
    `${where}: expected byte order little, found ${JSON.stringify(order)}`,
    { hint: "Load the file with PyTorch on a little-endian machine and save it again." },
  );
}

/** The entry with a storage's bytes; an empty storage needs none. */
function findStorage(
  entries: ReadonlyMap<string, ZipEntry>,
  name: string,
  storage: TorchStorage,
  where: string,
): ZipEntry | undefined {
  const entry = entries.get(name);
  const expected = byteLength(storage);
  if (expected === 0) return undefined;
  if (entry?.size === expected) return entry;
  throw new CheckpointError(
    "E_TORCH_STORAGE",
    `${where}: storage ${storage.key}: expected ${expected} bytes in ${name}, found ${entry === undefined ? "no such entry" : entry.size}`,
    { hint: "Fetch the file again; its pickle and its storages do not belong together." },
  );
}

function byteLength(storage: TorchStorage): number {
  return storage.elements * (storage.dtype === undefined ? 1 : layoutOf(storage.dtype).blockBytes);
}

function noPickle(where: string): CheckpointError {
  return new CheckpointError(
    "E_TORCH_CONTAINER",
    `${where}: expected one data.pkl in one folder, found another archive`,
    {
      hint: "Name a file that torch.save wrote.",
    },
  );
}
