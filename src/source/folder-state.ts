import { open, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { parseJson } from "../core/json.ts";
import type { EntryState } from "./cache-policy.ts";
import {
  convertedIndex,
  type ModelKind,
  parseRecords,
  parseShards,
  recognise,
  sideFiles,
  type WeightPreference,
  weightFiles,
} from "./file-choice.ts";
import { isLfsPointer } from "./lfs-pointer.ts";

/** What a folder holds, judged without reading weights. */
export interface FolderState {
  readonly state: EntryState;
  readonly model: ModelKind | undefined;
  /** Missing, short or damaged files, one sentence each. */
  readonly problems: readonly string[];
  /** Files that are git-lfs pointers instead of content. */
  readonly pointers: readonly string[];
  /** The model's files, relative, with `/`. */
  readonly files: readonly string[];
}

export interface FolderQuestion {
  readonly prefer?: WeightPreference;
  readonly skipWeights?: boolean;
  /** GGUF files alone are a model too. */
  readonly gguf?: boolean;
  /** Sizes that are known from elsewhere. */
  readonly sizes?: ReadonlyMap<string, number>;
}

/** Judges a folder: is it a model, and is all of it there (acquisition.md §4)? Writes nothing. */
export async function inspectFolder(folder: string, question: FolderQuestion = {}): Promise<FolderState> {
  const names = await listFiles(folder);
  if (!names) return { state: "absent", model: undefined, problems: [], pointers: [], files: [] };
  const leftovers = [...names].filter((name) => /\.(incomplete|journal)$/.test(name));
  const problems = leftovers.map((name) => `${name}: left by an unfinished download`);
  const ggufOnly = question.gguf === true && isGgufOnly(names);
  const model = ggufOnly ? "checkpoint" : kindOf(names);
  const pointers = await findPointers(folder, names);
  problems.push(...pointers.map((name) => `${name}: a git-lfs pointer instead of the content`));
  const expected = await expectedFiles(folder, names, { model, question, problems });
  problems.push(...(await checkFiles(folder, expected, { names, pointers })));
  const whole = model !== undefined && problems.length === 0;
  const files = [...expected.keys()].filter((name) => names.has(name));
  return { state: whole ? "complete" : "incomplete", model, problems, pointers, files };
}

function isGgufOnly(names: ReadonlySet<string>): boolean {
  return recognise(names) === undefined && [...names].some((name) => name.endsWith(".gguf"));
}

/** A kind also for folders that lack their index. */
function kindOf(names: ReadonlySet<string>): ModelKind | undefined {
  if (names.has("mlc-chat-config.json")) return "converted";
  return names.has("config.json") ? "checkpoint" : recognise(names);
}

async function listFiles(folder: string): Promise<ReadonlySet<string> | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  return entries && new Set(entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name));
}

async function findPointers(folder: string, names: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) {
    if (await isLfsPointer(path.join(folder, name)).catch(() => false)) found.push(name);
  }
  return found;
}

interface Judging {
  readonly model: ModelKind | undefined;
  readonly question: FolderQuestion;
  readonly problems: string[];
}

/** Every file that must be there, with its size where one is known. */
async function expectedFiles(
  folder: string,
  names: ReadonlySet<string>,
  { model, question, problems }: Judging,
): Promise<Map<string, number | undefined>> {
  const expected = new Map<string, number | undefined>();
  const expect = (name: string, size = question.sizes?.get(name)) => expected.set(name, size);
  try {
    if (question.gguf && isGgufOnly(names)) {
      for (const name of names) if (name.endsWith(".gguf")) expect(name);
    } else if (model === "converted") {
      for (const name of names) expect(name);
      const index = convertedIndex(names);
      if (index === undefined) problems.push("tensor-cache.json: missing");
      else
        for (const record of parseRecords(await read(folder, index), index))
          expect(record.name, record.nbytes);
    } else if (model === "checkpoint") {
      for (const name of sideFiles(names)) expect(name);
      parseJson(await read(folder, "config.json"));
      const weights = weightFiles(names, question.prefer ?? "safetensors");
      if (!weights && !question.skipWeights) problems.push("weights: none with a known name");
      if (weights?.index !== undefined) expect(weights.index);
      if (!question.skipWeights && weights) for (const name of await shardsOf(folder, weights)) expect(name);
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return expected;
}

async function shardsOf(folder: string, weights: { index?: string; single?: string }): Promise<string[]> {
  if (weights.index !== undefined) return parseShards(await read(folder, weights.index), weights.index);
  return weights.single === undefined ? [] : [weights.single];
}

async function checkFiles(
  folder: string,
  expected: ReadonlyMap<string, number | undefined>,
  known: { names: ReadonlySet<string>; pointers: readonly string[] },
): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, size] of expected) {
    if (known.pointers.includes(name)) continue;
    const stats = await stat(path.join(folder, name)).catch(() => undefined);
    if (!stats) problems.push(`${name}: missing`);
    else if (size !== undefined && stats.size !== size) {
      problems.push(`${name}: expected ${size} bytes, found ${stats.size}`);
    } else if (name.endsWith(".safetensors")) {
      const problem = await safetensorsProblem(path.join(folder, name), stats.size);
      if (problem) problems.push(`${name}: ${problem}`);
    }
  }
  return problems;
}

/** Compares a safetensors file's length with what its header says; the full check is the reader's. */
async function safetensorsProblem(file: string, size: number): Promise<string | undefined> {
  const handle = await open(file);
  try {
    const length = Buffer.alloc(8);
    await handle.read(length, 0, 8, 0);
    const nbytes = Number(length.readBigUInt64LE());
    if (size < 8 || nbytes > 100_000_000 || 8 + nbytes > size) return "truncated, or no safetensors file";
    const header = Buffer.alloc(nbytes);
    await handle.read(header, 0, nbytes, 8);
    const entries = Object.values(
      JSON.parse(header.toString("utf8")) as Record<string, { data_offsets?: number[] }>,
    );
    const end = entries.reduce((most, entry) => Math.max(most, entry?.data_offsets?.[1] ?? 0), 0);
    return 8 + nbytes + end === size ? undefined : `expected ${8 + nbytes + end} bytes, found ${size}`;
  } catch {
    return "its header cannot be read";
  } finally {
    await handle.close();
  }
}

function read(folder: string, name: string): Promise<string> {
  return readFile(path.join(folder, name), "utf8");
}
