import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rebuildTokenizer } from "./checkpoint/gguf-tokenizer.ts";
import type { GgufMetadata } from "./core/gguf.ts";
import { formatJson, type JsonObject } from "./core/json.ts";
import type { ExtraFile } from "./execute/write-output.ts";

/** What a GGUF file says of the files that a Hugging Face folder has beside its weights. */
export interface RebuiltSource {
  readonly config: JsonObject;
  readonly metadata: GgufMetadata;
}

/**
 * Gives `use` a temporary folder with config.json and the tokenizer files that a GGUF file determines.
 * Copies that its result asks for are read before the folder is removed.
 * @throws {CheckpointError} `E_GGUF_TOKENIZER` where the tokenizer cannot be rebuilt
 */
export async function withRebuiltFiles<T extends { readonly files: readonly ExtraFile[] }>(
  { config, metadata }: RebuiltSource,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const { tokenizerJson, tokenizerConfig } = rebuildTokenizer(metadata);
  const folder = await mkdtemp(join(tmpdir(), "mlc-convert-gguf-"));
  try {
    const write = (name: string, value: JsonObject): Promise<void> =>
      writeFile(join(folder, name), formatJson(value, 2));
    await write("config.json", config);
    await write("tokenizer.json", tokenizerJson);
    await write("tokenizer_config.json", tokenizerConfig);
    const result = await use(folder);
    return { ...result, files: await Promise.all(result.files.map(inMemory)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function inMemory(file: ExtraFile): Promise<ExtraFile> {
  return "copyOf" in file ? { name: file.name, content: await readFile(file.copyOf) } : file;
}
