import { stat } from "node:fs/promises";
import path from "node:path";
import { listProblems, SourceError } from "../core/errors.ts";
import { type GgufGroup, ggufGroups, type ListedFile, matchGguf } from "../core/gguf-files.ts";
import { type ChoiceOptions, recognise } from "./file-choice.ts";
import type { FolderState } from "./folder-state.ts";

/**
 * The GGUF files that are meant: those that the user names, else the only model of a repository or folder that
 * has nothing else.
 * @param where for messages
 * @returns all parts of one model, the first part first; none where `include` chooses; `undefined` where other
 * weights are meant
 * @throws {SourceError} `E_GGUF_FILE` where no model or several fit, listing them with their sizes
 */
export function chooseGguf(
  files: readonly ListedFile[],
  { ggufFile, anyGguf, include }: ChoiceOptions,
  where: string,
): readonly string[] | undefined {
  const groups = ggufGroups(files);
  const names = new Set(files.map(({ name }) => name));
  if (ggufFile === undefined && (groups.length === 0 || recognise(names) !== undefined)) {
    return undefined;
  }
  // Patterns choose by themselves, and may choose several models.
  if (ggufFile === undefined && include !== undefined) return [];
  const found = ggufFile === undefined ? groups : matchGguf(groups, ggufFile);
  const smallest = [...found].sort((a, b) => a.nbytes - b.nbytes)[0];
  const chosen = found.length === 1 || anyGguf ? smallest : undefined;
  if (chosen) return chosen.files.map(({ name }) => name);
  throw noneOrSeveral({ where, wanted: ggufFile, found, groups });
}

/** True where exactly one model among the files is the one that the user names. */
export const holdsGguf = (files: readonly ListedFile[], { ggufFile }: ChoiceOptions): boolean =>
  ggufFile !== undefined && matchGguf(ggufGroups(files), ggufFile).length === 1;

/** Judges the GGUF files of a snapshot: each must be there, and as long as the list says. */
export async function inspectGguf(
  folder: string,
  chosen: readonly string[],
  sizes: ReadonlyMap<string, number>,
): Promise<FolderState> {
  const problems: string[] = [];
  let found = 0;
  for (const name of chosen) {
    const size = (await stat(path.join(folder, ...name.split("/"))).catch(() => undefined))?.size;
    if (size !== undefined) found++;
    if (size === undefined) problems.push(`${name}: missing`);
    else if (size !== (sizes.get(name) ?? size)) {
      problems.push(`${name}: expected ${sizes.get(name)} bytes, found ${size}`);
    }
  }
  const state = problems.length === 0 ? "complete" : found === 0 ? "absent" : "incomplete";
  return { state, model: "checkpoint", problems, pointers: [], files: chosen };
}

interface Failure {
  readonly where: string;
  readonly wanted: string | undefined;
  readonly found: readonly GgufGroup[];
  readonly groups: readonly GgufGroup[];
}

function noneOrSeveral({ where, wanted, found, groups }: Failure): SourceError {
  const fits = wanted === undefined ? "" : ` that fits ${wanted}`;
  const listed = found.length > 0 ? found : groups;
  const lines = listed.map(({ name, nbytes }) => `${name} (${(nbytes / 1e9).toFixed(2)} GB)`);
  const has = lines.length > 0 ? `:\n${listProblems(lines)}` : " nothing in GGUF";
  return new SourceError(
    "E_GGUF_FILE",
    `${where}: expected one GGUF model${fits}, found ${found.length}; there ${lines.length === 1 ? "is" : "are"}${has}`,
    {
      hint:
        lines.length > 0
          ? "name one with --gguf-file, best one in F16, BF16 or F32; `mlc-convert recommend` compares them"
          : "leave --gguf-file out",
    },
  );
}
