import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { RequestedFormat } from "./checkpoint/locate-weights.ts";
import { CheckpointError } from "./core/errors.ts";
import { ggufGroups, matchGguf } from "./core/gguf-files.ts";
import type { OpenedModel } from "./open-model.ts";

/** What the user may ask for: a format of Hugging Face checkpoints, or GGUF. */
export type RequestedSource = RequestedFormat | "gguf";

/** Weights that `auto` takes before a GGUF file in the same folder. */
const CHECKPOINT_NAME = /^(model\.safetensors|pytorch_model\.bin)(\.index\.json)?$/;
const PART_NAME = /-\d{5}-of-\d{5}\.gguf$/;
const TOKENIZER_NAMES = ["tokenizer.json", "tokenizer.model"];

/**
 * Finds the GGUF model that a path means: a file, a part of a split model, or a folder with exactly one model.
 * @param path absolute
 * @param wanted which of several: a name, a pattern, or a piece of the name such as `Q4_K_M`
 * @returns absolute path of the file or of the first part; `undefined` where the path means something else
 * @throws {CheckpointError} `E_FORMAT_NOT_FOUND` where GGUF is asked for and there is none, `E_FORMAT_AMBIGUOUS`
 * where there are several
 */
export async function locateGguf(
  path: string,
  requested: RequestedSource,
  wanted?: string,
): Promise<string | undefined> {
  if (requested !== "auto" && requested !== "gguf") return undefined;
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return path.endsWith(".gguf") || requested === "gguf" ? path : undefined;
  const names = await readdir(path);
  const asked = requested === "gguf" || wanted !== undefined;
  if (!asked && names.some((name) => CHECKPOINT_NAME.test(name))) return undefined;
  const groups = ggufGroups(names.map((name) => ({ name, size: 0 })));
  const models = (wanted === undefined ? groups : matchGguf(groups, wanted)).map(({ name }) => name);
  const [first, ...others] = models;
  const part = names.find((name) => PART_NAME.test(name));
  // Parts without the rest of their model: reading it says which are missing.
  if (groups.length === 0 && part !== undefined) return join(path, part);
  if (first === undefined && !asked) return undefined;
  if (first === undefined) throw nothingThere(path, wanted, names);
  if (others.length === 0) return join(path, first);
  throw new CheckpointError(
    "E_FORMAT_AMBIGUOUS",
    `${path}: expected one GGUF model, found ${models.slice(0, 10).join(", ")}`,
    { hint: "name one with --gguf-file, best one in F16, BF16 or F32" },
  );
}

function nothingThere(path: string, wanted: string | undefined, names: readonly string[]): CheckpointError {
  const which = wanted === undefined ? "" : ` that fits ${wanted}`;
  const others = names.filter((name) => name.endsWith(".gguf")).slice(0, 10);
  return new CheckpointError(
    "E_FORMAT_NOT_FOUND",
    `${path}: expected a GGUF file${which}, found ${others.join(", ") || "none"}`,
  );
}

/**
 * Opens a GGUF model as the checkpoint that it was made from. Tokenizer files that lie beside it are preferred to
 * those that its metadata determines.
 * @param path absolute path of the file or of one of its parts
 * @throws {CheckpointError} `E_GGUF_…`
 */
export async function openGguf(path: string): Promise<OpenedModel> {
  const { openGgufModel } = await import("./checkpoint/gguf-model.ts");
  const { checkpoint, config, gguf } = await openGgufModel(path);
  const folder = dirname(path);
  const names = await readdir(folder);
  const ownTokenizer = TOKENIZER_NAMES.some((name) => names.includes(name));
  const id = join(folder, modelName(basename(path)));
  return {
    ...(ownTokenizer ? { folder } : {}),
    config,
    checkpoint,
    origin: { id, commit: null, files: new Map() },
    ggufMetadata: gguf.metadata,
  };
}

/** A file's name without its ending and the numbers of a part. */
const modelName = (file: string): string => file.replace(/(-\d{5}-of-\d{5})?\.gguf$/, "");
