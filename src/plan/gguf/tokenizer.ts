import { PlanError } from "../../core/errors.ts";
import {
  type GgufMetadata,
  type GgufText,
  type GgufValue,
  ggufBool,
  ggufText,
  ggufTexts,
} from "../../core/gguf.ts";
import { isArray, isObject, type JsonObject } from "../../core/json.ts";
import type { GgufArchitecture } from "./model.ts";
import { preTokenizerName } from "./pre-tokenizer.ts";
import { isSentencePiece, parseSentencePiece } from "./sentencepiece.ts";
import { specialTokenEntries } from "./special-tokens.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";
import {
  addedTokens,
  bpeTokens,
  mergesOf,
  spmTokensFromJson,
  spmTokensFromModel,
  type Token,
} from "./vocabulary.ts";

export interface TokenizerRequest {
  readonly files: TokenizerFiles;
  readonly architecture: GgufArchitecture;
  readonly vocabSize: number;
  /** Overrides the recognition of byte-level BPE's pre-tokenizer. */
  readonly preTokenizer?: string;
}

/** How many tokens the tokenizer itself has; `undefined` without one. */
export function tokenizerSize(files: TokenizerFiles): number | undefined {
  if (files.tokenizerModel && isSentencePiece(files.tokenizerModel)) {
    return parseSentencePiece(files.tokenizerModel).length;
  }
  const model = files.tokenizerJson?.get("model");
  const vocab = isObject(model) ? model.get("vocab") : undefined;
  if (!isObject(vocab) || !files.tokenizerJson) return undefined;
  const ids = [...vocab.values(), ...addedTokens(files.tokenizerJson).map((token) => token.id)];
  return ids.reduce<number>((most, id) => (typeof id === "number" && id >= most ? id + 1 : most), 0);
}

/**
 * The `tokenizer.*` metadata of a model (gguf.md, section 5).
 * @throws {PlanError} `E_GGUF_TOKENIZER`, `E_GGUF_PRE_TOKENIZER`
 */
export function ggufTokenizerMetadata(request: TokenizerRequest): GgufMetadata {
  const { files, architecture, vocabSize } = request;
  const { tokenizerModel, tokenizerJson } = files;
  const entries: (readonly [string, GgufValue])[] = [];
  if (tokenizerModel && isSentencePiece(tokenizerModel) && !isGpt2(files)) {
    const tokens = spmTokensFromModel(files, { architecture, vocabSize });
    entries.push(...spmEntries(tokens), ...spaceEntries(files, architecture));
  } else if (tokenizerJson && isByteFallback(tokenizerJson)) {
    const tokens = spmTokensFromJson(tokenizerJson, vocabSize);
    entries.push(...spmEntries(tokens), ...spaceEntries(files, architecture));
  } else if (tokenizerJson) {
    entries.push(...bpeEntries(tokenizerJson, request));
  } else {
    throw new PlanError(
      "E_GGUF_TOKENIZER",
      "the model has neither tokenizer.json nor a SentencePiece tokenizer.model",
      {
        hint: "a GGUF file holds the tokenizer: put its files beside config.json",
      },
    );
  }
  return new Map([...entries, ...specialTokenEntries(files, vocabSize)]);
}

const isGpt2 = (files: TokenizerFiles): boolean =>
  files.tokenizerConfig?.get("tokenizer_class") === "GPT2Tokenizer" && files.tokenizerJson !== undefined;

/** SentencePiece in JSON form: BPE whose unknown characters become byte tokens. */
function isByteFallback(tokenizer: JsonObject): boolean {
  const model = tokenizer.get("model");
  if (!isObject(model) || model.get("type") !== "BPE") {
    const type = isObject(model) ? model.get("type") : undefined;
    throw new PlanError("E_GGUF_TOKENIZER", `tokenizer.json holds a ${String(type)} model; BPE is supported`);
  }
  const decoder = tokenizer.get("decoder");
  return model.get("byte_fallback") === true && isObject(decoder) && isArray(decoder.get("decoders") ?? null);
}

function tokenEntries(tokens: readonly Token[]): readonly (readonly [string, GgufValue])[] {
  const types = Int32Array.from(tokens, (token) => token.type);
  return [
    ["tokenizer.ggml.tokens", ggufTexts(distinct(tokens.map((token) => token.text)))],
    ["tokenizer.ggml.token_type", { type: "arr", of: "i32", values: types }],
  ];
}

/** Loaders abort on two tokens of the same text; saying so here is kinder. */
function distinct(texts: readonly GgufText[]): readonly GgufText[] {
  const seen = new Set<string>();
  for (const [id, text] of texts.entries()) {
    const key = typeof text === "string" ? text : Buffer.from(text).toString("latin1");
    if (seen.has(key)) {
      throw new PlanError(
        "E_GGUF_TOKENIZER",
        `token ${id}, ${JSON.stringify(key)}, occurs twice in the vocabulary`,
      );
    }
    seen.add(key);
  }
  return texts;
}

function spmEntries(tokens: readonly Token[]): readonly (readonly [string, GgufValue])[] {
  const scores = Float32Array.from(tokens, (token) => token.score);
  return [
    ["tokenizer.ggml.model", ggufText("llama")],
    ["tokenizer.ggml.pre", ggufText("default")],
    ...tokenEntries(tokens),
    ["tokenizer.ggml.scores", { type: "arr", of: "f32", values: scores }],
  ];
}

/** Id of `<end_of_turn>` in the first Gemma's vocabulary. */
const GEMMA_END_OF_TURN = 107;

function spaceEntries(
  files: TokenizerFiles,
  architecture: GgufArchitecture,
): readonly (readonly [string, GgufValue])[] {
  const key = "tokenizer.ggml.add_space_prefix";
  if (architecture === "gemma") {
    const turn: GgufValue = { type: "u32", value: GEMMA_END_OF_TURN };
    return [
      [key, ggufBool(false)],
      ["tokenizer.ggml.eot_token_id", turn],
    ];
  }
  if (architecture.startsWith("gemma")) return [[key, ggufBool(false)]];
  const prefix = files.tokenizerConfig?.get("add_prefix_space");
  return architecture === "llama" && typeof prefix === "boolean" ? [[key, ggufBool(prefix)]] : [];
}

function bpeEntries(
  tokenizer: JsonObject,
  { vocabSize, preTokenizer, files, architecture }: TokenizerRequest,
): readonly (readonly [string, GgufValue])[] {
  const prefix = files.tokenizerConfig?.get("add_prefix_space");
  return [
    ["tokenizer.ggml.model", ggufText("gpt2")],
    ["tokenizer.ggml.pre", ggufText(preTokenizer ?? preTokenizerName(tokenizer))],
    ...tokenEntries(bpeTokens(tokenizer, vocabSize)),
    ["tokenizer.ggml.merges", ggufTexts(mergesOf(tokenizer))],
    ...(architecture === "llama" && typeof prefix === "boolean"
      ? [["tokenizer.ggml.add_space_prefix", ggufBool(prefix)] as const]
      : []),
  ];
}
