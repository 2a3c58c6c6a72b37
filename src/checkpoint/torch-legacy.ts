import type { ByteSource } from "../core/byte-source.ts";
import { layoutOf } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { inParallel } from "./in-parallel.ts";
import { PickleEnded } from "./pickle-cursor.ts";
import { readPickle } from "./pickle-machine.ts";
import { PickleDict, PickleList, type PickleValue } from "./pickle-values.ts";
import type { TorchContainer } from "./torch-container.ts";
import { TorchMeanings, type TorchStorage } from "./torch-objects.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
const FIRST_READ_BYTES = 1 << 20;
/** All pickles together. */
const MAX_PICKLE_BYTES = 256 * 1024 * 1024;
const READS_AT_ONCE = 8;
const COUNT_BYTES = 8;

interface Pickles {
  readonly object: PickleValue;
  readonly keys: PickleValue;
  readonly storages: readonly TorchStorage[];
  /** Where the storages start. */
  readonly end: number;
}

/**
 * Reads the container of PyTorch before 1.6 (formats.md §2.4): five pickles, then each storage as a count and its bytes.
 *
 * @throws {CheckpointError}
 */
export async function readTorchLegacy(source: ByteSource, where: string): Promise<TorchContainer> {
  const pickles = await readPickles(source, where);
  const byKey = onePerKey(pickles.storages, where);
  const offsets = new Map<string, number>();
  let at = pickles.end;
  for (const key of keysOf(pickles.keys, where)) {
    const storage = byKey.get(key);
    if (storage === undefined || offsets.has(key))
      throw badStorage(`${where}: storage ${key}: expected to be in use, and listed once`);
    offsets.set(key, at + COUNT_BYTES);
    at += COUNT_BYTES + storage.elements * elementBytes(storage);
  }
  if (at > source.size) {
    throw new CheckpointError(
      "E_TORCH_TRUNCATED",
      `${where}: expected ${at} bytes, found ${source.size}: it is cut off`,
      {
        hint: "Fetch the file again; the download did not finish.",
      },
    );
  }
  if (!source.remote) await checkCounts(source, [...byKey.values()], { offsets, where });
  const trailing = source.size - at;
  const notices = trailing === 0 ? [] : [`${where}: ${trailing} bytes behind the last storage are ignored.`];
  return { object: pickles.object, storageOffsets: offsets, notices };
}

/** The pickles' length is known only at their end, so what is read doubles until they fit. */
async function readPickles(source: ByteSource, where: string): Promise<Pickles> {
  for (let length = FIRST_READ_BYTES; ; length *= 2) {
    const end = Math.min(length, source.size, MAX_PICKLE_BYTES);
    const bytes = await source.read(0, end);
    try {
      return parsePickles(bytes, where);
    } catch (error) {
      if (!(error instanceof PickleEnded) || end < length) throw error;
    }
  }
}

function parsePickles(bytes: Uint8Array, where: string): Pickles {
  const meanings = new TorchMeanings();
  let end = 0;
  const next = (): PickleValue => {
    const pickle = readPickle(bytes, meanings, { where, start: end });
    end = pickle.end;
    return pickle.value;
  };
  const magic = next();
  const protocol = next();
  if (magic !== MAGIC || protocol !== PROTOCOL) {
    throw new CheckpointError(
      "E_TORCH_CONTAINER",
      `${where}: expected PyTorch's magic number and protocol ${PROTOCOL}, found others`,
    );
  }
  refuseBigEndian(next(), where);
  const object = next();
  return { object, keys: next(), storages: meanings.storages, end };
}

function refuseBigEndian(system: PickleValue, where: string): void {
  if (system instanceof PickleDict && system.entries.get("little_endian") === true) return;
  throw new CheckpointError(
    "E_TORCH_BYTE_ORDER",
    `${where}: expected little_endian to be true, found it otherwise`,
    {
      hint: "Load the file with PyTorch on a little-endian machine and save it again.",
    },
  );
}

function keysOf(value: PickleValue, where: string): string[] {
  const keys: string[] = [];
  for (const key of value instanceof PickleList ? value.items : [null]) {
    if (typeof key !== "string")
      throw badStorage(`${where}: expected a list of storage keys behind the object`);
    keys.push(key);
  }
  return keys;
}

/** The storages in use; a key must mean the same type and count wherever it occurs. */
function onePerKey(storages: readonly TorchStorage[], where: string): ReadonlyMap<string, TorchStorage> {
  const byKey = new Map<string, TorchStorage>();
  for (const storage of storages) {
    const known = byKey.get(storage.key) ?? storage;
    if (known.dtype !== storage.dtype || known.elements !== storage.elements) {
      throw badStorage(`${where}: storage ${storage.key}: expected one type and one size, found two`);
    }
    byKey.set(storage.key, known);
  }
  return byKey;
}

/** Every storage in use must be there, with the count that the pickle says. */
async function checkCounts(
  source: ByteSource,
  storages: readonly TorchStorage[],
  place: { readonly offsets: ReadonlyMap<string, number>; readonly where: string },
): Promise<void> {
  const { offsets, where } = place;
  await inParallel(storages, READS_AT_ONCE, async ({ key, elements }) => {
    const offset = offsets.get(key);
    if (offset === undefined)
      throw badStorage(`${where}: storage ${key}: expected in the file, found nowhere`);
    const bytes = Buffer.from(await source.read(offset - COUNT_BYTES, offset));
    const count = bytes.length === COUNT_BYTES ? bytes.readBigInt64LE(0) : -1n;
    if (count !== BigInt(elements)) {
      throw badStorage(
        `${where}: storage ${key}: expected ${elements} elements at ${offset}, found ${count}`,
      );
    }
  });
}

function elementBytes(storage: TorchStorage): number {
  return storage.dtype === undefined ? 1 : layoutOf(storage.dtype).blockBytes;
}

function badStorage(message: string): CheckpointError {
  return new CheckpointError("E_TORCH_STORAGE", message, {
    hint: "Fetch the file again; its pickle and its storages do not belong together.",
  });
}
