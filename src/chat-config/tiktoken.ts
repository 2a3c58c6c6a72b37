import { CheckpointError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";

/** The files that a `.tiktoken` vocabulary of the first Qwen generation becomes (chat-config.md §10). */
export interface TiktokenFiles {
  readonly tokenizer: JsonObject;
  readonly vocabulary: JsonObject;
  readonly mergesText: string;
  readonly tokenizerConfig: JsonObject;
  readonly specialTokensMap: JsonObject;
}

const FIRST_SPECIAL_ID = 151643;
const END_OF_TEXT = "<|endoftext|>";
const SPECIAL_TOKENS: readonly string[] = [
  END_OF_TEXT,
  "<|im_start|>",
  "<|im_end|>",
  ...Array.from({ length: 205 }, (_, index) => `<|extra_${index}|>`),
];

/**
 * Converts the text of a `.tiktoken` file.
 * @param modelMaxLength `context_window_size` of the configuration
 * @throws {CheckpointError} E_TIKTOKEN when a line is malformed or a token has no two parts
 */
export function convertTiktoken(text: string, modelMaxLength: number): TiktokenFiles {
  const ranks = parseRanks(text);
  const special = SPECIAL_TOKENS.map((content, index): [string, number] => [
    content,
    FIRST_SPECIAL_ID + index,
  ]);
  const vocabulary = new Map<string, Json>([
    ...[...ranks].map(([token, rank]): [string, number] => [spell(token), rank]),
    ...special,
  ]);
  const merges = mergesOf(ranks);
  const named: readonly (readonly [string, Json])[] = [
    ["bos_token", END_OF_TEXT],
    ["eos_token", END_OF_TEXT],
    ["unk_token", END_OF_TEXT],
  ];
  const tokenizerConfig: readonly (readonly [string, Json])[] = [
    ["add_prefix_space", false],
    ["clean_up_tokenization_spaces", true],
    ["model_max_length", modelMaxLength],
    ["tokenizer_class", "QWenTokenizer"],
    ...named,
  ];
  return {
    tokenizer: tokenizerObject(special, vocabulary, merges),
    vocabulary,
    mergesText: ["#version: 0.2", ...merges].join("\n"),
    tokenizerConfig: new Map([...tokenizerConfig].sort(([a], [b]) => (a < b ? -1 : 1))),
    specialTokensMap: new Map(named),
  };
}

/** Token bytes, one character each, → rank, in file order. */
function parseRanks(text: string): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === "") continue;
    const match = /^([A-Za-z0-9+/]+={0,2}) (\d+)$/.exec(line);
    if (!match?.[1])
      throw new CheckpointError("E_TIKTOKEN", `line ${index + 1}: expected "base64 rank", found ${line}`);
    ranks.set(Buffer.from(match[1], "base64").toString("latin1"), Number(match[2]));
  }
  return ranks;
}

function mergesOf(ranks: ReadonlyMap<string, number>): readonly string[] {
  const merges: string[] = [];
  for (const [token, rank] of ranks) {
    if (token.length < 2) continue;
    const parts = joinBelow(token, rank, ranks);
    if (parts.length !== 2) {
      const message = `token of rank ${rank}: expected two parts of lower rank, found ${parts.length}`;
      throw new CheckpointError("E_TIKTOKEN", message);
    }
    merges.push(parts.map(spell).join(" "));
  }
  return merges;
}

/** Joins the adjacent pair of lowest rank, leftmost first, while that rank is below `limit`. */
function joinBelow(token: string, limit: number, ranks: ReadonlyMap<string, number>): readonly string[] {
  const parts = [...token];
  for (;;) {
    let best = -1;
    let bestRank = limit;
    for (let index = 0; index + 1 < parts.length; index++) {
      const rank = ranks.get(`${parts[index]}${parts[index + 1]}`) ?? limit;
      if (rank >= bestRank) continue;
      best = index;
      bestRank = rank;
    }
    if (best < 0) return parts;
    parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`);
  }
}

/** GPT-2's printable alphabet: a byte's own character, or the next free one from U+0100 on. */
const ALPHABET: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(own ? byte : next++);
  });
})();

function spell(token: string): string {
  return [...token].map((byte) => ALPHABET[byte.charCodeAt(0)]).join("");
}

function tokenizerObject(
  special: readonly (readonly [string, number])[],
  vocabulary: JsonObject,
  merges: readonly string[],
): JsonObject {
  const added = special.map(
    ([content, id]) =>
      new Map<string, Json>([
        ["id", id],
        ["content", content],
        ["single_word", false],
        ["lstrip", false],
        ["rstrip", false],
        ["normalized", false],
        ["special", true],
      ]),
  );
  return new Map<string, Json>([
    ["version", "1.0"],
    ["truncation", null],
    ["padding", null],
    ["added_tokens", added],
    ["normalizer", null],
    ["pre_tokenizer", byteLevel(false, true)],
    ["post_processor", byteLevel(true, false)],
    ["decoder", byteLevel(true, true)],
    [
      "model",
      new Map<string, Json>([
        ["type", "BPE"],
        ["dropout", null],
        ["unk_token", null],
        ["continuing_subword_prefix", ""],
        ["end_of_word_suffix", ""],
        ["fuse_unk", false],
        ["byte_fallback", false],
        ["vocab", vocabulary],
        ["merges", merges],
      ]),
    ],
  ]);
}

function byteLevel(addPrefixSpace: boolean, trimOffsets: boolean): JsonObject {
  return new Map<string, Json>([
    ["type", "ByteLevel"],
    ["add_prefix_space", addPrefixSpace],
    ["trim_offsets", trimOffsets],
    ["use_regex", true],
  ]);
}
