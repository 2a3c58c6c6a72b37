/** Special tokens of the demo model, numbered behind the 256 bytes. */
const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;
const FIRST_SPECIAL = 256;

/** Numbers of the tokens that config.json names. */
export const DEMO_TOKEN_IDS: Readonly<Record<"bos" | "eos" | "pad", number>> = {
  bos: FIRST_SPECIAL + 1,
  eos: FIRST_SPECIAL + 2,
  pad: FIRST_SPECIAL,
};

/** Spells every byte as a printable character, as byte-level BPE tokenizers do. */
function byteCharacters(): readonly string[] {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

const CHAT_TEMPLATE =
  "{% for message in messages %}" +
  "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}" +
  "{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** Tokenizer files of the demo model by name: every byte is a token, and there is nothing to merge. */
export function demoTokenizerFiles(): ReadonlyMap<string, string> {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, index) => ({
      id: FIRST_SPECIAL + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
      merges: [],
    },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: SPECIAL[1],
    eos_token: SPECIAL[2],
    pad_token: SPECIAL[0],
    chat_template: CHAT_TEMPLATE,
  };
  return new Map([
    ["tokenizer.json", JSON.stringify(tokenizer)],
    ["tokenizer_config.json", JSON.stringify(config)],
  ]);
}
