import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { CHAT_CONFIG_NAME } from "./chat-config/prepare-chat-config.ts";
import { PROVENANCE_NAME } from "./chat-config/provenance.ts";
import { verifyChatConfig } from "./chat-config/verify-chat-config.ts";
import { budgetOf, DEFAULT_MAX_MEMORY } from "./execute/budget.ts";
import { hashFiles } from "./execute/hash-files.ts";
import { chooseBackend } from "./native/addon.ts";
import { type Fault, type VerifyResult, verifyTensorCache } from "./tensor-cache/verify.ts";
import { isGgufOutput, verifyGguf } from "./verify-gguf.ts";

export interface VerifyOptions {
  /** Name of a backend, or `auto`. */
  readonly backend?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** What was checked of a converted model, and every fault that was found. */
export interface Verification extends VerifyResult {
  readonly notices: readonly string[];
}

/**
 * Checks a converted model: index, shards, sizes and hashes; and, where there is a chat config, that it, the
 * tokenizer and the conversation template are whole and fit together. Of GGUF files, headers, tensor extents and,
 * where the index of the conversion lies beside them, every byte.
 * @param folder the result's folder, or a GGUF file
 * @throws {OutputError} where there is no readable index
 */
export async function verify(folder: string, options: VerifyOptions = {}): Promise<Verification> {
  const path = resolve(folder);
  const gguf = await isGgufOutput(path, ["tensor-cache.json", "ndarray-cache.json"]);
  const settings = {
    backend: chooseBackend(options.backend ?? "auto"),
    budget: budgetOf(options.threads, DEFAULT_MAX_MEMORY),
    signal: options.signal,
  };
  if (gguf) return verifyGguf(path, (parts) => hashFiles(parts, settings));
  const weights = await verifyTensorCache(path, (paths) =>
    hashFiles(
      paths.map((each) => ({ path: each })),
      settings,
    ),
  );
  const chat = await chatFaults(path);
  return { ...weights, faults: [...weights.faults, ...chat.faults], notices: chat.notices };
}

/** A folder of weights only has neither chat config nor provenance, and that is no fault. */
async function chatFaults(path: string): Promise<{ faults: readonly Fault[]; notices: readonly string[] }> {
  const present = [CHAT_CONFIG_NAME, PROVENANCE_NAME].some((name) => existsSync(join(path, name)));
  if (!present) return { faults: [], notices: [] };
  const { problems, notices } = await verifyChatConfig(path);
  return { faults: problems.map((problem) => faultOf(path, problem)), notices };
}

/** A problem that begins with the name of a file is that file's; any other is the chat config's. */
function faultOf(path: string, problem: string): Fault {
  const [, file = "", rest = ""] = /^([\w.-]+\.[a-z]+): (.*)$/s.exec(problem) ?? [];
  return file !== "" && existsSync(join(path, file))
    ? { file, problem: rest }
    : { file: CHAT_CONFIG_NAME, problem };
}
