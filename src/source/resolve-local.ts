import { stat } from "node:fs/promises";
import path from "node:path";
import { listProblems, SourceError } from "../core/errors.ts";
import type { ModelKind } from "./file-choice.ts";
import { inspectFolder } from "./folder-state.ts";
import { isLfsPointer } from "./lfs-pointer.ts";
import { localPathNotices } from "./local-path.ts";
import type { SourceOptions } from "./options.ts";
import type { LocalSource } from "./resolved.ts";

/**
 * What lies at a path of this machine.
 * @throws {SourceError} E_NO_SUCH_PATH, E_LFS_POINTER, E_MODEL_KIND
 */
export async function resolveLocal(typed: string, options: SourceOptions): Promise<LocalSource> {
  const stats = await stat(typed).catch(() => undefined);
  if (!stats) {
    throw new SourceError("E_NO_SUCH_PATH", `no such file or folder: ${typed}`, {
      hint: "name a folder, a file, or a model of the hub as org/model",
    });
  }
  const full = path.resolve(typed);
  const notices = localPathNotices(typed);
  if (stats.isFile()) {
    if (await isLfsPointer(full)) throw pointerError(path.dirname(full), [path.basename(full)]);
    return {
      kind: "local",
      path: full,
      isFile: true,
      model: undefined,
      files: [path.basename(full)],
      notices,
    };
  }
  const { model, pointers, files } = await inspectFolder(full, { ...choiceOf(options), gguf: true });
  if (pointers.length > 0) throw pointerError(full, pointers);
  checkKind(model, options.expect, typed);
  return { kind: "local", path: full, isFile: false, model, files, notices };
}

function pointerError(folder: string, pointers: readonly string[]): SourceError {
  const list = listProblems(pointers);
  return new SourceError("E_LFS_POINTER", `${folder} holds git-lfs pointers instead of content:\n${list}`, {
    hint: "Run `git lfs pull` in that folder, or give the model's hub name instead.",
  });
}

/** Refuses a converted model where a checkpoint is needed, and the reverse. */
function checkKind(found: ModelKind | undefined, expected: ModelKind | undefined, where: string): void {
  if (expected === undefined || found === undefined || found === expected) {
    if (found !== undefined || expected !== "converted") return;
  }
  const is =
    found === "converted"
      ? "a converted model"
      : found === "checkpoint"
        ? "a checkpoint"
        : "no converted model";
  const need = expected === "converted" ? "a converted model" : "a checkpoint to convert";
  const hint =
    expected === "converted"
      ? "Convert it first with `mlc-convert convert`."
      : "It is converted already: `mlc-convert download` fetches it.";
  throw new SourceError("E_MODEL_KIND", `${where} is ${is}, but ${need} is needed`, { hint });
}

/** Which of a folder's files count. */
export function choiceOf({
  prefer,
  skipWeights,
}: SourceOptions): Pick<SourceOptions, "prefer" | "skipWeights"> {
  return {
    ...(prefer === undefined ? {} : { prefer }),
    ...(skipWeights === undefined ? {} : { skipWeights }),
  };
}
