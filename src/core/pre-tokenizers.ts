const ENGLISH = "'s|'t|'re|'ve|'m|'ll|'d";
const NEWLINES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const LLAMA3 = `(?i:${ENGLISH})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${NEWLINES}`;
const QWEN2 = `(?i:${ENGLISH})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${NEWLINES}`;
const QWEN35 = `(?i:${ENGLISH})|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${NEWLINES}`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const LETTERS = (suffix: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${suffix}`;
const TEKKEN = `${LETTERS("")}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${NEWLINES}`;
const GPT4O = `${LETTERS(`(?i:${ENGLISH})?`)}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${NEWLINES}`;

/** What a GGUF loader calls a pre-tokenizer, and the regex with which tokenizer.json is rebuilt from that name. */
export interface PreTokenizer {
  readonly name: string;
  readonly regex: string;
  readonly ignoreMerges: boolean;
}

/** Pre-tokenizers that are one regex, then bytes (gguf.md, section 5). The first of equals is preferred. */
export const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  { name: "llama-bpe", regex: LLAMA3, ignoreMerges: true },
  { name: "smaug-bpe", regex: LLAMA3, ignoreMerges: false },
  { name: "qwen2", regex: QWEN2, ignoreMerges: false },
  { name: "qwen35", regex: QWEN35, ignoreMerges: false },
  { name: "tekken", regex: TEKKEN, ignoreMerges: true },
  { name: "gpt-4o", regex: GPT4O, ignoreMerges: false },
];
