import { SourceError } from "../core/errors.ts";
import { isArray, isObject, type Json, parseJson, toNumber } from "../core/json.ts";
import { checkRepositoryPath } from "./repository-path.ts";

/** What a folder or repository holds. */
export type ModelKind = "checkpoint" | "converted";

/** Which weights to take where a checkpoint has both; `upstream` takes PyTorch files first, as it does. */
export type WeightPreference = "safetensors" | "torch" | "upstream";

/** Where the weights of a checkpoint are. */
export interface WeightFiles {
  readonly format: "safetensors" | "torch";
  /** The index that lists the shards. */
  readonly index?: string;
  /** The only file, where there is no index. */
  readonly single?: string;
}

/** One shard of a converted model as its index lists it. */
export interface ConvertedShard {
  readonly name: string;
  readonly nbytes: number;
  readonly md5?: string;
}

export interface ChoiceOptions {
  readonly prefer?: WeightPreference;
  /** Configuration and tokenizer only. */
  readonly skipWeights?: boolean;
  /** The GGUF model to take: a file's name, a pattern, or a piece of the name such as `Q4_K_M`. */
  readonly ggufFile?: string;
  /** Where several GGUF models fit, take the smallest: for looking at headers only. */
  readonly anyGguf?: boolean;
  /** Patterns (`*`, `**`, `?`): take these instead of the usual choice. */
  readonly include?: readonly string[];
  /** Patterns of files to leave out. */
  readonly exclude?: readonly string[];
}

const SAFETENSORS: WeightFiles[] = [
  { format: "safetensors", index: "model.safetensors.index.json" },
  { format: "safetensors", single: "model.safetensors" },
];
const TORCH: WeightFiles[] = [
  { format: "torch", index: "pytorch_model.bin.index.json" },
  { format: "torch", single: "pytorch_model.bin" },
];
const CHAT_CONFIG = "mlc-chat-config.json";
const CONVERTED_INDEXES = ["tensor-cache.json", "ndarray-cache.json"];

const SIDE_FILES = [
  "config.json",
  "generation_config.json",
  "tokenizer.model",
  "tokenizer.json",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];
const SIDE_PATTERN = /^([^/]+\.tiktoken|rwkv_vocab_v\d{8}\.(json|txt))$/;
const TOKENIZERS = /^(tokenizer\.(model|json)|vocab\.json|[^/]+\.tiktoken|rwkv_vocab_v\d{8}\.(json|txt))$/;

/** What a list of names is, or nothing known (acquisition.md §1). */
export function recognise(names: ReadonlySet<string>): ModelKind | undefined {
  if (names.has(CHAT_CONFIG) && convertedIndex(names) !== undefined) return "converted";
  return names.has("config.json") && weightFiles(names, "safetensors") ? "checkpoint" : undefined;
}

/** The index of a converted model, under its present or its old name. */
export function convertedIndex(names: ReadonlySet<string>): string | undefined {
  return CONVERTED_INDEXES.find((name) => names.has(name));
}

/** Where the weights are, or nothing. */
export function weightFiles(names: ReadonlySet<string>, prefer: WeightPreference): WeightFiles | undefined {
  const order = prefer === "safetensors" ? [...SAFETENSORS, ...TORCH] : [...TORCH, ...SAFETENSORS];
  return order.find((weights) => names.has(weights.index ?? weights.single ?? ""));
}

/** Configuration and tokenizer files that are there; those that are not are nothing to worry about. */
export function sideFiles(names: ReadonlySet<string>): string[] {
  return [...names].filter((name) => SIDE_FILES.includes(name) || SIDE_PATTERN.test(name));
}

/** What a user should hear about files that are not there (T19). */
export function missingNotices(names: ReadonlySet<string>): string[] {
  const tokenizer = [...names].some((name) => TOKENIZERS.test(name));
  return tokenizer
    ? []
    : ["The model has no tokenizer files: weights can be converted, but not used to chat."];
}

/** What was looked for, for the refusal of anything else. */
export function describeKinds(): string {
  const weights = [...SAFETENSORS, ...TORCH].map(({ index, single }) => index ?? single);
  return `a checkpoint has config.json and one of ${weights.join(", ")}; a converted model has ${CHAT_CONFIG} and ${CONVERTED_INDEXES.join(" or ")}`;
}

/**
 * The shards that a checkpoint's index names, in order of first appearance.
 * @throws {SourceError} E_INDEX, E_REPOSITORY_PATH
 */
export function parseShards(text: string, where: string): string[] {
  const index = parseIndex(text, where);
  const map = isObject(index) ? index.get("weight_map") : undefined;
  if (!isObject(map)) throw badIndex(where, "it has no weight_map");
  const shards = new Set<string>();
  for (const name of map.values()) {
    if (typeof name !== "string") throw badIndex(where, "weight_map names something that is no file");
    shards.add(checkRepositoryPath(name, where));
  }
  return [...shards];
}

/**
 * The shards that a converted model's index lists.
 * @throws {SourceError} E_INDEX, E_REPOSITORY_PATH
 */
export function parseRecords(text: string, where: string): ConvertedShard[] {
  const index = parseIndex(text, where);
  const records = isObject(index) ? index.get("records") : undefined;
  if (!isArray(records)) throw badIndex(where, "it has no records");
  return records.map((record) => {
    const [name, md5] = isObject(record) ? [record.get("dataPath"), record.get("md5sum")] : [];
    const nbytes = isObject(record) ? toNumber(record.get("nbytes")) : undefined;
    if (typeof name !== "string" || nbytes === undefined)
      throw badIndex(where, "a record lacks dataPath or nbytes");
    checkRepositoryPath(name, where);
    return typeof md5 === "string" ? { name, nbytes, md5 } : { name, nbytes };
  });
}

/** Applies `--include` and `--exclude` to the usual choice. */
export function filterFiles(
  all: Iterable<string>,
  usual: readonly string[],
  options: ChoiceOptions,
): string[] {
  const include = options.include?.map(patternOf);
  const exclude = (options.exclude ?? []).map(patternOf);
  const chosen = include ? [...all].filter((name) => include.some((pattern) => pattern.test(name))) : usual;
  return [...chosen].filter((name) => !exclude.some((pattern) => pattern.test(name)));
}

/** `*` and `?` stay inside one folder, `**` does not; a pattern without a slash fits in every folder. */
function patternOf(glob: string): RegExp {
  const body = glob.replace(/\*\*\/?|\*|\?|[^*?]+/g, (piece) => {
    if (piece.startsWith("**")) return ".*";
    if (piece === "*") return "[^/]*";
    return piece === "?" ? "[^/]" : piece.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${glob.includes("/") ? "" : "(?:.*/)?"}${body}$`);
}

function parseIndex(text: string, where: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw badIndex(where, error instanceof Error ? error.message : "it is no JSON");
  }
}

function badIndex(where: string, why: string): SourceError {
  return new SourceError("E_INDEX", `${where} is not a usable index: ${why}`);
}
