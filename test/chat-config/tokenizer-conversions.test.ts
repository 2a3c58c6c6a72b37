import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { openConfigFolder } from "../../src/chat-config/config-folder.ts";
import { parsePythonLiteral } from "../../src/chat-config/python-literal.ts";
import { packRwkvVocabulary, parseRwkvText, readRwkvJson } from "../../src/chat-config/rwkv-vocab.ts";
import type { Piece } from "../../src/chat-config/sentencepiece-model.ts";
import { parseSentencePieceModel } from "../../src/chat-config/sentencepiece-model.ts";
import { convertSentencePiece, rulesFor } from "../../src/chat-config/sentencepiece-tokenizer.ts";
import { convertTiktoken } from "../../src/chat-config/tiktoken.ts";
import { collectTokenizerFiles } from "../../src/chat-config/tokenizer-files.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";
import { Float, formatJson } from "../../src/core/json.ts";
import { tempFolder } from "../support/temp-folder.ts";

const KINDS = ["", "normal", "unknown", "control", "user-defined", "unused", "byte"];

/** A model file, with fields that the reader must skip. */
function modelFile(pieces: readonly Piece[], modelType: number): Uint8Array {
  const writer = new BinaryWriter();
  for (const { text, score, kind } of pieces) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(text);
    writer.tag(2, WireType.Bit32).float(score);
    writer.tag(3, WireType.Varint).int32(KINDS.indexOf(kind));
    writer.tag(99, WireType.Bit64).fixed64(7n);
    writer.join();
  }
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(3, WireType.Varint).int32(modelType);
  writer.tag(40, WireType.Varint).int32(1);
  writer.join();
  return writer.finish();
}

const piece = (text: string, score = 0, kind: Piece["kind"] = "normal"): Piece => ({ text, score, kind });
const PIECES: readonly Piece[] = [
  piece("<unk>", 0, "unknown"),
  piece("<s>", 0, "control"),
  piece("</s>", 0, "control"),
  piece("a", -1),
  piece("b", -2),
  piece("𝒳", -2.5),
  piece("ab", -0.5),
  piece("𝒳a", -0.25),
  piece("aba", -3),
  piece("ba", -4),
];

function convert(config: Readonly<Record<string, Json>>, rules: "llama" | "codellama" = "llama"): JsonObject {
  const model = parseSentencePieceModel(modelFile(PIECES, 2));
  return convertSentencePiece({ model, rules, config: new Map(Object.entries(config)) });
}

function at(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>((inner, key) => {
    if (inner instanceof Map) return inner.get(String(key));
    return Array.isArray(inner) ? inner[Number(key)] : undefined;
  }, value);
}

describe("a SentencePiece model", () => {
  it("is read with its pieces, and what is not known is skipped", () => {
    const model = parseSentencePieceModel(modelFile(PIECES, 2));
    expect(model.pieces).toEqual(PIECES);
    expect(model).toMatchObject({ algorithm: "bpe", unknownPiece: "<unk>" });
  });

  it("is refused when it is cut off, empty or no message", () => {
    const whole = modelFile(PIECES, 2);
    for (const bytes of [whole.subarray(0, 25), new Uint8Array(), Buffer.from("hello world")])
      expect(() => parseSentencePieceModel(bytes)).toThrow(/tokenizer\.model: expected/);
  });

  it("is refused when it splits into words or characters", () => {
    for (const modelType of [3, 4]) {
      const model = parseSentencePieceModel(modelFile(PIECES, modelType));
      expect(() => convertSentencePiece({ model, rules: "llama", config: new Map() })).toThrow(
        /BPE or Unigram/,
      );
    }
  });

  it("is left as it is, and that is said, where the class has rules that are not known, as T5's", async () => {
    const folder = await tempFolder();
    await writeFile(join(folder, "tokenizer.model"), modelFile(PIECES, 1));
    await writeFile(join(folder, "tokenizer_config.json"), '{"tokenizer_class": "T5Tokenizer"}');
    const context = { modelType: "t5", contextWindowSize: 512 };
    const made = await collectTokenizerFiles(await openConfigFolder(folder), context);
    expect(made.listed).toEqual(["tokenizer.model", "tokenizer_config.json"]);
    expect(made.notices.join()).toContain(
      "expected a Llama, CodeLlama or Gemma tokenizer, found T5Tokenizer; the runtimes can use tokenizer.model itself",
    );
  });

  it("becomes merges by score, then length in characters, then ids", () => {
    expect(at(convert({}), "model", "merges")).toEqual([
      ["𝒳", "a"],
      ["a", "b"],
      ["ab", "a"],
      ["a", "ba"],
      ["b", "a"],
    ]);
  });

  it("stays Unigram with its scores when it is one", () => {
    const model = parseSentencePieceModel(modelFile(PIECES.slice(0, 4), 1));
    const tokenizer = convertSentencePiece({ model, rules: "llama", config: new Map() });
    expect(at(tokenizer, "model", "vocab")).toEqual([
      ["<unk>", new Float(0)],
      ["<s>", new Float(0)],
      ["</s>", new Float(0)],
      ["a", new Float(-1)],
    ]);
  });

  it("gets neither prefix nor strip when add_prefix_space is false", () => {
    const tokenizer = convert({ add_prefix_space: false });
    expect(at(tokenizer, "normalizer", "normalizers")).toHaveLength(1);
    expect(at(tokenizer, "decoder", "decoders")).toHaveLength(3);
    const modern = convert({ add_prefix_space: false, legacy: false });
    expect(at(modern, "pre_tokenizer", "prepend_scheme")).toBe("never");
  });

  it("puts eos after and no bos before when the configuration says so", () => {
    const processor = at(convert({ add_bos_token: false, add_eos_token: true }), "post_processor");
    expect(formatJson(at(processor, "single") ?? null, 0).replace(/\s/g, "")).toBe(
      '[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}]',
    );
    expect([...(at(processor, "special_tokens") as JsonObject).keys()]).toEqual(["</s>"]);
  });

  it("gets the class's own tokens after the vocabulary for CodeLlama", () => {
    const added = at(convert({}, "codellama"), "added_tokens") as readonly JsonObject[];
    const ids = added.map((token) => [token.get("content"), token.get("id"), token.get("special")]);
    expect(ids.slice(-4)).toEqual([
      ["▁<PRE>", 10, true],
      ["▁<MID>", 11, true],
      ["▁<SUF>", 12, true],
      ["▁<EOT>", 13, true],
    ]);
  });

  it("is converted only for classes and types whose rules are known", () => {
    expect(rulesFor("LlamaTokenizerFast", "qwen2")).toBe("llama");
    expect(rulesFor("GemmaTokenizer", "llama")).toBe("gemma");
    expect(rulesFor("BaichuanTokenizer", "llama")).toBeUndefined();
    expect(rulesFor(undefined, "mixtral")).toBe("llama");
    expect(rulesFor(undefined, "gemma3_text")).toBe("gemma");
    expect(rulesFor(undefined, "internlm2")).toBeUndefined();
  });
});

describe("a tiktoken vocabulary", () => {
  const line = (token: string, rank: number): string => `${Buffer.from(token).toString("base64")} ${rank}`;

  it("is refused with the line when one is malformed", () => {
    expect(() => convertTiktoken(`${line("a", 0)}\nnonsense\n`, 2048)).toThrow(/line 2: expected/);
  });

  it("is refused when a token has no two parts of lower rank", () => {
    expect(() => convertTiktoken([line("a", 0), line("b", 1), line("abab", 2)].join("\n"), 2048)).toThrow(
      /token of rank 2: expected two parts of lower rank, found 4/,
    );
  });
});

describe("an RWKV vocabulary", () => {
  it("reads every escape of a Python literal", () => {
    const read = (text: string): string | undefined => {
      const bytes = parsePythonLiteral(text);
      return bytes && Buffer.from(bytes).toString("hex");
    };
    expect(read(String.raw`'\\\'\"\n\r\t\a\b\f\v'`)).toBe("5c27220a0d0907080c0b");
    expect(read(String.raw`'\x41\u00e9\U0001F600\0\101'`)).toBe("41c3a9f09f98800041");
    expect(read(String.raw`b'\xe4\xb8'`)).toBe("e4b8");
    expect(read(`"it's"`)).toBe(Buffer.from("it's").toString("hex"));
    for (const broken of ["plain", "'open", "'a'b'", String.raw`'\q'`, "b'é'", String.raw`b'\u0041'`])
      expect(read(broken), broken).toBeUndefined();
  });

  it("is refused with the line when a length or literal is wrong", () => {
    expect(() => parseRwkvText("1 'a' 1\n2 'bb' 1\n")).toThrow(
      /line 2: expected a token of 1 bytes, found 2/,
    );
    expect(() => parseRwkvText("1 a 1\n")).toThrow(/line 1: expected "index literal length"/);
    expect(() => readRwkvJson([])).toThrow(/expected an object/);
  });

  it("is packed with numbers and byte strings in their smallest form", () => {
    const pack = (index: number, length: number): string =>
      Buffer.from(packRwkvVocabulary([{ index, token: Buffer.alloc(length) }]))
        .toString("hex")
        .slice(0, 14);
    expect(pack(127, 1)).toBe("817fc40100");
    expect(pack(128, 1)).toBe("81cc80c40100");
    expect(pack(256, 1)).toBe("81cd0100c40100");
    expect(pack(65536, 0)).toBe("81ce00010000c4");
    expect(pack(1, 256)).toBe("8101c501000000");
    const many = Array.from({ length: 16 }, (_, index) => ({ index, token: Buffer.alloc(0) }));
    expect(Buffer.from(packRwkvVocabulary(many)).toString("hex").slice(0, 6)).toBe("de0010");
  });
});
