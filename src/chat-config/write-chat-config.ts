import { copyFile, mkdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OutputError } from "../core/errors.ts";
import type { FileIntegrity } from "../core/integrity.ts";
import { integrityOf, readFileIntegrity } from "../core/integrity.ts";
import type { PreparedChatConfig } from "./prepare-chat-config.ts";
import type { OutputFile } from "./tokenizer-files.ts";

/**
 * Writes the prepared files into a folder, which is created when missing; mlc-chat-config.json comes last.
 * Each file appears under its name only when it is complete. A file that is its own source is left alone.
 * @throws {OutputError} E_WRITE_CHAT_CONFIG
 */
export async function writeChatConfig(prepared: PreparedChatConfig, folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const file of prepared.files) await writeOne(file, folder);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OutputError("E_WRITE_CHAT_CONFIG", `${folder}: ${reason}`, { cause });
  }
}

/** Size and hash of every prepared file, for provenance; a copied file is read where it comes from. */
export async function hashPreparedFiles(
  prepared: PreparedChatConfig,
): Promise<ReadonlyMap<string, FileIntegrity>> {
  const hashes = new Map<string, FileIntegrity>();
  for (const file of prepared.files) {
    const hash = "copyOf" in file ? await readFileIntegrity(file.copyOf) : integrityOf(file.content);
    hashes.set(file.name, hash);
  }
  return hashes;
}

async function writeOne(file: OutputFile, folder: string): Promise<void> {
  const target = join(folder, file.name);
  if ("copyOf" in file && (await isSameFile(file.copyOf, target))) return;
  const partial = `${target}.partial`;
  try {
    if ("copyOf" in file) await copyFile(file.copyOf, partial);
    else await writeFile(partial, file.content);
    await rename(partial, target);
  } catch (cause) {
    await rm(partial, { force: true });
    throw cause;
  }
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([a, b].map((path) => realpath(path).catch(() => undefined)));
  return left !== undefined && left === right;
}
