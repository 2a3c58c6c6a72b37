import { CheckpointError } from "../core/errors.ts";
import {
  type GgufMetadata,
  ggufFlag,
  ggufNumber,
  ggufNumbers,
  ggufString,
  ggufStrings,
} from "../core/gguf.ts";
import { Float, type Json, type JsonObject } from "../core/json.ts";
import { PRE_TOKENIZERS } from "../core/pre-tokenizers.ts";
import { spmMerges } from "./spm-merges.ts";

/** Tokenizer files of a Hugging Face model, as far as a GGUF file determines them. */
export interface RebuiltTokenizer {
  readonly tokenizerJson: JsonObject;
  readonly tokenizerConfig: JsonObject;
}

const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

interface GgufTokens {
  readonly metadata: GgufMetadata;
  readonly texts: readonly string[];
  readonly types: readonly number[];
}

const KEY = "tokenizer.ggml.";
/** Regex pre-tokenizers that loaders give a first token by themselves. */
const BOS_BY_DEFAULT = ["llama-bpe", "tekken"];

/**
 * Rebuilds tokenizer.json and tokenizer_config.json from metadata (gguf.md, section 6).
 * @throws {CheckpointError} `E_GGUF_TOKENIZER` if the file has none, or one of another kind
 */
export function rebuildTokenizer(metadata: GgufMetadata): RebuiltTokenizer {
  const texts = ggufStrings(metadata.get(`${KEY}tokens`));
  if (texts === undefined || texts.length === 0)
    throw noTokenizer("tokenizer.ggml.tokens is no list of texts");
  const types = ggufNumbers(metadata.get(`${KEY}token_type`)) ?? texts.map(() => NORMAL);
  const tokens: GgufTokens = { metadata, texts, types };
  const model = ggufString(metadata.get(`${KEY}model`));
  const build = model === "gpt2" ? bpe : model === "llama" ? spm : undefined;
  if (build === undefined) throw noTokenizer(`tokenizer.ggml.model is ${JSON.stringify(model)}`);
  return { tokenizerJson: build(tokens), tokenizerConfig: tokenizerConfig(tokens) };
}

function noTokenizer(problem: string): CheckpointError {
  return new CheckpointError("E_GGUF_TOKENIZER", `the tokenizer cannot be rebuilt: ${problem}`, {
    hint: "put the original model's tokenizer.json and tokenizer_config.json beside the file",
  });
}

const object = (entries: Readonly<Record<string, Json>>): JsonObject => new Map(Object.entries(entries));

function document(parts: Readonly<Record<string, Json>>, addedTokens: Json): JsonObject {
  return object({ version: "1.0", truncation: null, padding: null, added_tokens: addedTokens, ...parts });
}

function addedTokens({ texts, types }: GgufTokens, special: readonly number[]): readonly Json[] {
  return texts.flatMap((content, id) => {
    const type = types[id] ?? NORMAL;
    if (type !== UNKNOWN && type !== CONTROL && type !== USER_DEFINED) return [];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [object({ id, content, ...flags, special: special.includes(type) })];
  });
}

function addsBos({ metadata }: GgufTokens, byDefault: boolean): boolean {
  return ggufFlag(metadata.get(`${KEY}add_bos_token`)) ?? byDefault;
}

/** Prepends the first token to every text. */
function bosTemplate({ metadata, texts }: GgufTokens): JsonObject | undefined {
  const id = ggufNumber(metadata.get(`${KEY}bos_token_id`));
  const bos = id === undefined ? undefined : texts[id];
  if (id === undefined || bos === undefined) return undefined;
  const token = (type_id: number): Json => object({ SpecialToken: object({ id: bos, type_id }) });
  const sequence = (name: string, type_id: number): Json =>
    object({ Sequence: object({ id: name, type_id }) });
  return object({
    type: "TemplateProcessing",
    single: [token(0), sequence("A", 0)],
    pair: [token(0), sequence("A", 0), token(1), sequence("B", 1)],
    special_tokens: object({ [bos]: object({ id: bos, ids: [id], tokens: [bos] }) }),
  });
}

const byteLevel = (use_regex: boolean): JsonObject =>
  object({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex });

function bpe(tokens: GgufTokens): JsonObject {
  const { metadata, texts, types } = tokens;
  const pre = ggufString(metadata.get(`${KEY}pre`)) ?? "";
  const merges = ggufStrings(metadata.get(`${KEY}merges`));
  if (merges === undefined) throw noTokenizer("tokenizer.ggml.merges is missing");
  const known = PRE_TOKENIZERS.find((each) => each.name === pre);
  const vocab = new Map<string, Json>();
  for (const [id, text] of texts.entries()) if (types[id] === NORMAL) vocab.set(text, id);
  const processor = addsBos(tokens, BOS_BY_DEFAULT.includes(pre)) ? bosTemplate(tokens) : undefined;
  return document(
    {
      normalizer: null,
      pre_tokenizer: preTokenizer(pre, known?.regex),
      post_processor: processor ?? byteLevel(false),
      decoder: byteLevel(true),
      model: object({
        type: "BPE",
        ...bpeSettings(null, known?.ignoreMerges ?? false),
        byte_fallback: false,
        fuse_unk: false,
        vocab,
        merges: merges.map(splitMerge),
      }),
    },
    addedTokens(tokens, [UNKNOWN, CONTROL]),
  );
}

function bpeSettings(unknown: string | null, ignoreMerges: boolean): Readonly<Record<string, Json>> {
  return {
    dropout: null,
    unk_token: unknown,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    ignore_merges: ignoreMerges,
  };
}

/** At the first space that is not the first character: byte-level tokens hold no spaces, but may start the text. */
function splitMerge(merge: string): readonly string[] {
  const at = merge.indexOf(" ", 1);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

function preTokenizer(name: string, regex: string | undefined): JsonObject {
  if (name === "gpt-2") return byteLevel(true);
  if (name === "starcoder") {
    const digits = object({ type: "Digits", individual_digits: true });
    return object({ type: "Sequence", pretokenizers: [digits, byteLevel(true)] });
  }
  if (regex === undefined) throw noTokenizer(`its pre-tokenizer ${JSON.stringify(name)} is not known`);
  const pattern = object({ Regex: regex });
  const split = object({ type: "Split", pattern, behavior: "Isolated", invert: false });
  return object({ type: "Sequence", pretokenizers: [split, byteLevel(false)] });
}

function spm(tokens: GgufTokens): JsonObject {
  const { metadata, texts, types } = tokens;
  const prefixed = ggufFlag(metadata.get(`${KEY}add_space_prefix`)) ?? true;
  const scores = ggufNumbers(metadata.get(`${KEY}scores`)) ?? [];
  const vocab = new Map<string, number>();
  for (const [id, text] of texts.entries()) if (types[id] !== UNUSED) vocab.set(text, id);
  const unknown = texts[types.indexOf(UNKNOWN)] ?? texts[idOf(metadata, "unknown") ?? -1] ?? null;
  const replace = (from: string, to: string): Json =>
    object({ type: "Replace", pattern: object({ String: from }), content: to });
  const strip = object({ type: "Strip", content: " ", start: 1, stop: 0 });
  const normalizers = [...(prefixed ? [object({ type: "Prepend", prepend: "▁" })] : []), replace(" ", "▁")];
  const decoders = [
    replace("▁", " "),
    object({ type: "ByteFallback" }),
    object({ type: "Fuse" }),
    ...(prefixed ? [strip] : []),
  ];
  const merges = spmMerges(vocab, { texts, types, scores });
  return document(
    {
      normalizer: object({ type: "Sequence", normalizers }),
      pre_tokenizer: null,
      post_processor: (addsBos(tokens, true) ? bosTemplate(tokens) : undefined) ?? null,
      decoder: object({ type: "Sequence", decoders }),
      model: object({
        type: "BPE",
        ...bpeSettings(unknown, false),
        fuse_unk: true,
        byte_fallback: true,
        vocab,
        merges,
      }),
    },
    addedTokens(tokens, [UNKNOWN, CONTROL]),
  );
}

function idOf(metadata: GgufMetadata, role: string): number | undefined {
  return ggufNumber(metadata.get(`${KEY}${role}_token_id`));
}

const ROLES: readonly (readonly [role: string, field: string])[] = [
  ["bos", "bos_token"],
  ["eos", "eos_token"],
  ["unknown", "unk_token"],
  ["seperator", "sep_token"],
  ["padding", "pad_token"],
  ["mask", "mask_token"],
];

function tokenizerConfig({ metadata, texts }: GgufTokens): JsonObject {
  const config = new Map<string, Json>();
  for (const role of ["bos", "eos"]) {
    const flag = ggufFlag(metadata.get(`${KEY}add_${role}_token`));
    if (flag !== undefined) config.set(`add_${role}_token`, flag);
  }
  for (const [role, field] of ROLES) {
    const id = idOf(metadata, role);
    const text = id === undefined ? undefined : texts[id];
    if (text !== undefined) config.set(field, text);
  }
  const template = ggufString(metadata.get("tokenizer.chat_template"));
  if (template !== undefined) config.set("chat_template", template);
  config.set("clean_up_tokenization_spaces", false);
  config.set("model_max_length", new Float(1e30));
  config.set("tokenizer_class", "PreTrainedTokenizerFast");
  return config;
}
