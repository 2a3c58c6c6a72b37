import type { JsonObject } from "../../core/json.ts";

/** The tokenizer's files, as far as the model has them. */
export interface TokenizerFiles {
  readonly config: JsonObject;
  readonly tokenizerJson?: JsonObject;
  /** tokenizer.model */
  readonly tokenizerModel?: Uint8Array;
  /** tokenizer_config.json */
  readonly tokenizerConfig?: JsonObject;
  /** added_tokens.json */
  readonly addedTokens?: JsonObject;
  /** chat_template.jinja, or the text in chat_template.json. */
  readonly chatTemplate?: string;
}
