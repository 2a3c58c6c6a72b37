import { existsSync } from "node:fs";
import { readdir, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { OutputError } from "../core/errors.ts";
import { probeWriting } from "../core/write-probe.ts";

/** What is appended to a target's name while it is being replaced. */
export const REPLACED_SUFFIX = ".mlc-convert-replaced";

/**
 * Checks that a result can be put at `output`: nothing is in its way, and the disk takes files there. Costs
 * milliseconds, so it comes before anything that costs more.
 * @throws {OutputError} `E_OUTPUT_…`
 */
export async function checkOutput(
  output: string,
  { force, single }: { readonly force: boolean; readonly single: boolean },
): Promise<void> {
  const target = resolve(output);
  if (single) {
    await checkFile(target, force);
  } else {
    await restoreReplaced(target);
    await checkTarget(target, force);
  }
  await checkWritable(dirname(target));
}

/** A run that was killed between two renames left the old target under another name. */
async function restoreReplaced(target: string): Promise<void> {
  const replaced = `${target}${REPLACED_SUFFIX}`;
  if (!existsSync(target) && existsSync(replaced)) await rename(replaced, target);
}

async function checkTarget(target: string, force: boolean): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  if (!found.isDirectory()) {
    throw new OutputError("E_OUTPUT_IS_FILE", `${target}: expected a folder, found a file`, {
      hint: "choose another output folder",
    });
  }
  const entries = await readdir(target);
  if (entries.length > 0 && !force) {
    const some = entries.slice(0, 3).join(", ");
    throw new OutputError(
      "E_OUTPUT_NOT_EMPTY",
      `${target} already holds ${entries.length} entries (${some})`,
      {
        hint: "choose another output folder, or replace this one as a whole with --force",
      },
    );
  }
  await checkWritable(target);
}

async function checkFile(target: string, force: boolean): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  if (found.isDirectory()) {
    throw new OutputError("E_OUTPUT_IS_FOLDER", `${target}: expected a file, found a folder`, {
      hint: "choose another name for the output file",
    });
  }
  if (force) return;
  throw new OutputError("E_OUTPUT_EXISTS", `${target} already exists`, {
    hint: "choose another name for the output file, or replace this one with --force",
  });
}

/** @throws {OutputError} `E_OUTPUT_READ_ONLY` */
export async function checkWritable(folder: string): Promise<void> {
  await probeWriting(folder).catch((cause: unknown) => {
    throw new OutputError("E_OUTPUT_READ_ONLY", `${folder} cannot be written: ${(cause as Error).message}`, {
      cause,
      hint: "choose another output folder or change its permissions",
    });
  });
}
