import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ggufPartNames } from "./checkpoint/gguf.ts";
import { openGgufModel } from "./checkpoint/gguf-model.ts";
import type { RequestedFormat } from "./checkpoint/locate-weights.ts";
import { CheckpointError } from "./core/errors.ts";
import type { OpenedModel } from "./open-model.ts";

/** What the user may ask for: a format of Hugging Face checkpoints, or GGUF. */
export type RequestedSource = RequestedFormat | "gguf";

/** Weights that `auto` takes before a GGUF file in the same folder. */
const CHECKPOINT_NAME = /^(model\.safetensors|pytorch_model\.bin)(\.index\.json)?$/;
/** Projectors of multimodal models lie beside the model that they belong to. */
const PROJECTOR_NAME = /^mmproj/;
const TOKENIZER_NAMES = ["tokenizer.json", "tokenizer.model"];

/**
 * Finds the GGUF model that a path means: a file, a part of a split model, or a folder with exactly one model.
 * @param path absolute
 * @returns absolute path of the file or of the first part; `undefined` where the path means something else
 * @throws {CheckpointError} `E_FORMAT_NOT_FOUND` where GGUF is asked for and there is none, `E_FORMAT_AMBIGUOUS`
 * where there are several
 */
export async function locateGguf(path: string, requested: RequestedSource): Promise<string | undefined> {
  if (requested !== "auto" && requested !== "gguf") return undefined;
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return path.endsWith(".gguf") || requested === "gguf" ? path : undefined;
  const names = await readdir(path);
  if (requested === "auto" && names.some((name) => CHECKPOINT_NAME.test(name))) return undefined;
  const files = names.filter((name) => name.endsWith(".gguf") && !PROJECTOR_NAME.test(name));
  const models = [...new Set(files.map((name) => ggufPartNames(name)[0] ?? name))].sort();
  const [first, ...others] = models;
  if (first === undefined && requested === "auto") return undefined;
  if (first === undefined) {
    throw new CheckpointError("E_FORMAT_NOT_FOUND", `${path}: expected a GGUF file, found none`);
  }
  if (others.length === 0) return join(path, first);
  throw new CheckpointError(
    "E_FORMAT_AMBIGUOUS",
    `${path}: expected one GGUF model, found ${models.slice(0, 10).join(", ")}`,
    { hint: "name the file itself, best one in F16, BF16 or F32" },
  );
}

/**
 * Opens a GGUF model as the checkpoint that it was made from. Tokenizer files that lie beside it are preferred to
 * those that its metadata determines.
 * @param path absolute path of the file or of one of its parts
 * @throws {CheckpointError} `E_GGUF_…`
 */
export async function openGguf(path: string): Promise<OpenedModel> {
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
