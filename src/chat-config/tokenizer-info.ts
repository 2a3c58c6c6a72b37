import { CheckpointError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";

/** How the runtimes treat spaces and bytes of tokens: `tokenizer_info` of mlc-chat-config.json. */
export interface TokenizerInfo {
  readonly tokenPostprocMethod: "byte_fallback" | "byte_level";
  readonly prependSpaceInEncode: boolean;
  readonly stripSpaceInDecode: boolean;
}

/** What is written when there is no tokenizer.json. */
export const DEFAULT_TOKENIZER_INFO: TokenizerInfo = {
  tokenPostprocMethod: "byte_fallback",
  prependSpaceInEncode: false,
  stripSpaceInDecode: false,
};

const METHODS: ReadonlyMap<string, TokenizerInfo["tokenPostprocMethod"]> = new Map([
  ["ByteLevel", "byte_level"],
  ["ByteFallback", "byte_fallback"],
]);

/**
 * Reads the three values off a parsed tokenizer.json (chat-config.md §8).
 * @throws {CheckpointError} E_TOKENIZER_JSON when a normalizer or decoder is not what it should be
 */
export function detectTokenizerInfo(tokenizer: Json): TokenizerInfo & { readonly decoderFound: boolean } {
  if (!isObject(tokenizer)) throw broken("expected an object at the top");
  const decoders = elementsOf(tokenizer, "decoder");
  const normalizers = elementsOf(tokenizer, "normalizer");
  const method = decoders.map(({ type }) => METHODS.get(type)).findLast((found) => found !== undefined);
  return {
    tokenPostprocMethod: method ?? DEFAULT_TOKENIZER_INFO.tokenPostprocMethod,
    prependSpaceInEncode: normalizers.some(
      ({ type, object }) => type === "Prepend" && object.get("prepend") === "▁",
    ),
    stripSpaceInDecode: decoders.some(({ type, object }) => type === "Strip" && stripsOneSpace(object)),
    decoderFound: method !== undefined,
  };
}

/** The object as it is written. */
export function tokenizerInfoToJson(info: TokenizerInfo): JsonObject {
  return new Map<string, Json>([
    ["token_postproc_method", info.tokenPostprocMethod],
    ["prepend_space_in_encode", info.prependSpaceInEncode],
    ["strip_space_in_decode", info.stripSpaceInDecode],
  ]);
}

function stripsOneSpace(strip: JsonObject): boolean {
  return strip.get("content") === " " && strip.get("start") === 1 && strip.get("stop") === 0;
}

interface Element {
  readonly type: string;
  readonly object: JsonObject;
}

/** The part itself, or the members of a `Sequence`; a `Sequence` inside one is not searched. */
function elementsOf(tokenizer: JsonObject, part: "decoder" | "normalizer"): readonly Element[] {
  const value = tokenizer.get(part) ?? null;
  if (value === null) return [];
  const whole = toElement(value, part);
  if (whole.type !== "Sequence") return [whole];
  const members = whole.object.get(`${part}s`);
  if (!isArray(members)) throw broken(`${part}: expected a list "${part}s" in the Sequence`);
  return members.map((member, index) => toElement(member, `${part}s[${index}]`));
}

function toElement(value: Json, where: string): Element {
  if (!isObject(value)) throw broken(`${where}: expected an object`);
  const type = value.get("type");
  if (typeof type !== "string") throw broken(`${where}: expected a string "type"`);
  return { type, object: value };
}

function broken(problem: string): CheckpointError {
  return new CheckpointError("E_TOKENIZER_JSON", `tokenizer.json: ${problem}`, {
    hint: "Fetch the file again; it is not a tokenizer of the tokenizers library.",
  });
}
