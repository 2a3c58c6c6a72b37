import { describe, expect, it } from "vitest";
import { ggufNumbers, ggufString, ggufStrings } from "../../../src/core/gguf.ts";
import { preTokenizerName } from "../../../src/plan/gguf/pre-tokenizer.ts";
import { parseSentencePiece } from "../../../src/plan/gguf/sentencepiece.ts";
import { ggufTokenizerMetadata } from "../../../src/plan/gguf/tokenizer.ts";
import { jsonObject, tokenizerFiles } from "./tokenizer-folder.ts";

const split = (regex: string) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated" });
const bytes = (use_regex: boolean) => ({ type: "ByteLevel", use_regex });
const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
const tokenizer = (pre_tokenizer: unknown, model: object = {}) => jsonObject({ pre_tokenizer, model });

describe("recognising pre-tokenizers", () => {
  it("tells models by the structure of tokenizer.json", () => {
    const files = tokenizerFiles("bpe-llama3", new Map()).tokenizerJson ?? expect.fail();
    expect(preTokenizerName(files)).toBe("llama-bpe");
    const qwen = tokenizerFiles("bpe-qwen2", new Map()).tokenizerJson ?? expect.fail();
    expect(preTokenizerName(qwen)).toBe("qwen2");
    expect(preTokenizerName(tokenizer(bytes(true)))).toBe("gpt-2");
    const digits = { type: "Digits", individual_digits: true };
    expect(preTokenizerName(tokenizer(sequence(digits, bytes(true))))).toBe("starcoder");
  });

  it("refuses what it does not know, since a wrong name is silent", () => {
    for (const steps of [null, split("x"), sequence(split("[a-z]"), bytes(false)), { type: "Metaspace" }]) {
      expect(() => preTokenizerName(tokenizer(steps))).toThrow("none that GGUF loaders are known to have");
    }
  });
});

describe("tokenizer metadata", () => {
  const config = jsonObject({ bos_token_id: 1, eos_token_id: [2, 3] });

  it("takes a pre-tokenizer's name on trust when it is given", () => {
    const { tokenizerJson } = tokenizerFiles("bpe-qwen2", config);
    const files = { config, ...(tokenizerJson ? { tokenizerJson } : {}) };
    const request = { files, architecture: "qwen2", vocabSize: 512, preTokenizer: "mine" } as const;
    expect(ggufString(ggufTokenizerMetadata(request).get("tokenizer.ggml.pre"))).toBe("mine");
  });

  it("ignores lists of ids, and ids beyond the vocabulary", () => {
    const { tokenizerJson } = tokenizerFiles("bpe-qwen2", config);
    const files = { config, ...(tokenizerJson ? { tokenizerJson } : {}) };
    const metadata = ggufTokenizerMetadata({ files, architecture: "qwen2", vocabSize: 512 });
    expect(metadata.get("tokenizer.ggml.bos_token_id")).toEqual({ type: "u32", value: 1 });
    expect(metadata.has("tokenizer.ggml.eos_token_id")).toBe(false);
  });

  it("ranks the tokens of a byte-fallback tokenizer.json by their merges", () => {
    const vocab = { "<unk>": 0, "<0x41>": 1, a: 2, b: 3, ab: 4, abb: 5 };
    const merges = [
      ["ab", "b"],
      ["a", "b"],
    ];
    const json = jsonObject({
      model: { type: "BPE", byte_fallback: true, vocab, merges },
      decoder: { type: "Sequence", decoders: [] },
      added_tokens: [
        { id: 0, content: "<unk>", special: true },
        { id: 6, content: "▁tool", special: false },
      ],
    });
    const metadata = ggufTokenizerMetadata({
      files: { config, tokenizerJson: json },
      architecture: "llama",
      vocabSize: 8,
    });
    expect(ggufStrings(metadata.get("tokenizer.ggml.tokens"))?.slice(5)).toEqual(["abb", " tool", "[PAD7]"]);
    expect(ggufNumbers(metadata.get("tokenizer.ggml.token_type"))).toEqual([3, 6, 1, 1, 1, 1, 4, 5]);
    const [, , a = 0, b = 0, ab = 0, abb = 0] = ggufNumbers(metadata.get("tokenizer.ggml.scores")) ?? [];
    expect(abb).toBeGreaterThan(ab);
    expect(Math.min(ab, abb)).toBeGreaterThan(Math.max(a, b));
  });

  it("names every chat template of a list", () => {
    const named = [
      { name: "default", template: "D" },
      { name: "tool_use", template: "T" },
    ];
    const { tokenizerJson = expect.fail() } = tokenizerFiles("bpe-qwen2", config);
    const tokenizerConfig = jsonObject({ chat_template: named });
    const files = { config, tokenizerJson, tokenizerConfig };
    const metadata = ggufTokenizerMetadata({ files, architecture: "qwen2", vocabSize: 512 });
    expect(ggufString(metadata.get("tokenizer.chat_template"))).toBe("D");
    expect(ggufString(metadata.get("tokenizer.chat_template.tool_use"))).toBe("T");
    expect(ggufStrings(metadata.get("tokenizer.chat_templates"))).toEqual(["tool_use"]);
  });

  it("refuses duplicate tokens, missing tokenizers and damaged models", () => {
    const json = jsonObject({
      pre_tokenizer: bytes(true),
      model: { type: "BPE", vocab: { "[PAD1]": 0 }, merges: [] },
    });
    const request = { architecture: "llama", vocabSize: 2 } as const;
    expect(() => ggufTokenizerMetadata({ ...request, files: { config, tokenizerJson: json } })).toThrow(
      "twice",
    );
    expect(() => ggufTokenizerMetadata({ ...request, files: { config } })).toThrow(
      "neither tokenizer.json nor",
    );
    for (const damaged of [[], [0x0a], [0x0a, 5, 1], [0x0b], [0xff, 0xff]]) {
      expect(() => parseSentencePiece(Uint8Array.from(damaged))).toThrow("no SentencePiece model");
    }
  });
});
