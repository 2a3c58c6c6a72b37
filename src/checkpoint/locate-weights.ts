import { CheckpointError } from "../core/errors.ts";
import type { SourceFormat } from "../core/tensor-info.ts";
import type { WeightFolder } from "./weight-folder.ts";

/** What the user may ask for; `auto` looks at the file names. */
export type RequestedFormat = "auto" | Exclude<SourceFormat, "gguf">;

/** The one file to start from. */
export interface WeightsLocation {
  readonly format: SourceFormat;
  readonly kind: "index" | "lone";
  readonly name: string;
  readonly notices: readonly string[];
}

type HuggingFaceFormat = "huggingface-safetensor" | "huggingface-torch";

const KNOWN_NAMES: Readonly<Record<HuggingFaceFormat, { readonly index: string; readonly lone: string }>> = {
  "huggingface-safetensor": { index: "model.safetensors.index.json", lone: "model.safetensors" },
  "huggingface-torch": { index: "pytorch_model.bin.index.json", lone: "pytorch_model.bin" },
};
const WEIGHT_FILE = /\.(safetensors|bin|pt|pth)$/;

/** True for the name of a file of weights or of their index. */
export const isWeights = (name: string): boolean => WEIGHT_FILE.test(name.replace(/\.index\.json$/, ""));

const INDEX_FILE = /\.(safetensors|bin|pt)\.index\.json$/;

/**
 * Finds the weights of a folder by file name (architectures.md §1.1). Where both safetensors and PyTorch files lie
 * there, `auto` takes safetensors, other than upstream, and says so.
 *
 * @throws {CheckpointError} `E_NO_WEIGHTS`, `E_FORMAT_NOT_FOUND`, `E_FORMAT_AMBIGUOUS`
 */
export function locateWeights(folder: WeightFolder, requested: RequestedFormat): WeightsLocation {
  if (requested === "awq") return locateAwq(folder);
  if (requested !== "auto") {
    const found = locateKnown(folder, requested);
    if (found) return found;
    const { index, lone } = KNOWN_NAMES[requested];
    throw notFound("E_FORMAT_NOT_FOUND", `${index} or ${lone} for --source-format ${requested}`, folder);
  }
  const safetensors = locateKnown(folder, "huggingface-safetensor");
  const torch = locateKnown(folder, "huggingface-torch");
  if (safetensors && torch) {
    const notice = `Both ${safetensors.name} and ${torch.name} are present; ${safetensors.name} is used. Choose with --source-format.`;
    return { ...safetensors, notices: [notice] };
  }
  const found = safetensors ?? torch;
  if (found) return found;
  const names = Object.values(KNOWN_NAMES).flatMap(({ index, lone }) => [index, lone]);
  throw notFound("E_NO_WEIGHTS", `one of ${names.join(", ")}`, folder);
}

function locateKnown(folder: WeightFolder, format: HuggingFaceFormat): WeightsLocation | undefined {
  const { index, lone } = KNOWN_NAMES[format];
  if (folder.names.includes(index)) return { format, kind: "index", name: index, notices: [] };
  if (folder.names.includes(lone)) return { format, kind: "lone", name: lone, notices: [] };
  return undefined;
}

/** Upstream demands a file for AWQ; a folder with exactly one candidate is as clear (errors.md A12). */
function locateAwq(folder: WeightFolder): WeightsLocation {
  const indexes = folder.names.filter((name) => INDEX_FILE.test(name));
  const candidates = indexes.length > 0 ? indexes : folder.names.filter((name) => WEIGHT_FILE.test(name));
  const [name, ...others] = candidates;
  if (name === undefined) throw notFound("E_NO_WEIGHTS", "one index or one weight file", folder);
  if (others.length > 0) {
    throw new CheckpointError(
      "E_FORMAT_AMBIGUOUS",
      `${folder.location}: expected one index or one weight file, found ${candidates.slice(0, 10).join(", ")}`,
      { hint: "Name the file itself as the source." },
    );
  }
  return { format: "awq", kind: indexes.length > 0 ? "index" : "lone", name, notices: [] };
}

/**
 * What a file that was named directly is.
 *
 * @throws {CheckpointError} `E_FILE_TYPE` for other endings than `.json`, `.safetensors`, `.bin`, `.pt`, `.pth`
 */
export function locateFile(name: string, requested: RequestedFormat): WeightsLocation {
  const format = requested === "auto" ? formatOfName(name) : requested;
  if (name.endsWith(".json")) return { format, kind: "index", name, notices: [] };
  if (WEIGHT_FILE.test(name)) return { format, kind: "lone", name, notices: [] };
  throw new CheckpointError(
    "E_FILE_TYPE",
    `${name}: expected a file that ends in .json, .safetensors, .bin, .pt or .pth`,
  );
}

function formatOfName(name: string): HuggingFaceFormat {
  return /\.(bin|pt|pth)(\.index\.json)?$/.test(name) ? "huggingface-torch" : "huggingface-safetensor";
}

function notFound(code: string, expected: string, folder: WeightFolder): CheckpointError {
  const weightsFirst = [...folder.names].sort((a, b) => Number(isWeightLike(b)) - Number(isWeightLike(a)));
  const shown = weightsFirst.slice(0, 10).join(", ");
  const rest = weightsFirst.length > 10 ? ` and ${weightsFirst.length - 10} more` : "";
  return new CheckpointError(
    code,
    `${folder.location}: expected ${expected}; found ${shown === "" ? "an empty folder" : shown + rest}`,
    { hint: "Name a folder with a Hugging Face checkpoint, or the weight file itself." },
  );
}

function isWeightLike(name: string): boolean {
  return WEIGHT_FILE.test(name) || /\.(gguf|ggml|pth|h5|msgpack|onnx)$|^consolidated\./.test(name);
}
