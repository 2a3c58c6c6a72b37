import { type GgufValue, ggufBool, ggufText, ggufTexts, ggufU32 } from "../../core/gguf.ts";
import { isArray, isObject, type Json, type JsonObject } from "../../core/json.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

type Entry = readonly [key: string, value: GgufValue];

/** Roles of tokens, and the keys that name them; the fourth is misspelled in the format itself. */
const ROLES: readonly (readonly [role: string, key: string])[] = [
  ["bos", "bos_token_id"],
  ["eos", "eos_token_id"],
  ["unk", "unknown_token_id"],
  ["sep", "seperator_token_id"],
  ["pad", "padding_token_id"],
  ["mask", "mask_token_id"],
];

/** Ids of special tokens, add flags and chat template (gguf.md, section 5). */
export function specialTokenEntries(files: TokenizerFiles, vocabSize: number): readonly Entry[] {
  return [...idEntries(files, vocabSize), ...addEntries(files), ...templateEntries(files)];
}

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);

/** A token as text: a plain string or an object with `content`. */
function contentOf(value: Json | undefined): string | undefined {
  const content = isObject(value) ? value.get("content") : value;
  return typeof content === "string" ? content : undefined;
}

function idEntries(files: TokenizerFiles, vocabSize: number): readonly Entry[] {
  const added = new Map<string, number>();
  for (const token of list(files.tokenizerJson?.get("added_tokens"))) {
    const content = contentOf(token);
    const id = isObject(token) ? token.get("id") : undefined;
    if (content !== undefined && typeof id === "number") added.set(content, id);
  }
  const text = files.config.get("text_config");
  return ROLES.flatMap(([role, key]): readonly Entry[] => {
    const content = contentOf(files.tokenizerConfig?.get(`${role}_token`));
    const candidates = [
      content === undefined ? undefined : added.get(content),
      files.config.get(`${role}_token_id`),
      isObject(text) ? text.get(`${role}_token_id`) : undefined,
    ];
    const id = candidates.find((each): each is number => typeof each === "number" && each >= 0);
    return id === undefined || id >= vocabSize ? [] : [[`tokenizer.ggml.${key}`, ggufU32(id)]];
  });
}

interface AddFlags {
  bos?: boolean;
  eos?: boolean;
  sep?: boolean;
}

/** What tokenizer.json's post-processor adds; tokenizer_config.json speaks where it is silent. */
function addEntries(files: TokenizerFiles): readonly Entry[] {
  const flags: AddFlags = {};
  const processor = files.tokenizerJson?.get("post_processor");
  const processors = isObject(processor)
    ? processor.get("type") === "Sequence"
      ? list(processor.get("processors"))
      : [processor]
    : [];
  for (const each of processors) if (isObject(each)) readProcessor(each, flags, files);
  for (const role of ["bos", "eos", "sep"] as const) {
    const flag = files.tokenizerConfig?.get(`add_${role}_token`);
    if (flags[role] === undefined && typeof flag === "boolean") flags[role] = flag;
  }
  return (["bos", "eos", "sep"] as const).flatMap((role) =>
    flagEntry(`tokenizer.ggml.add_${role}_token`, flags[role]),
  );
}

function readProcessor(processor: JsonObject, flags: AddFlags, files: TokenizerFiles): void {
  if (processor.get("type") === "ByteLevel") {
    flags.bos ??= false;
    flags.eos ??= false;
  }
  if (processor.get("type") !== "TemplateProcessing") return;
  const single = list(processor.get("single"));
  if (single.length > 1) {
    if (specialOf(single[0]) !== undefined) flags.bos = true;
    if (specialOf(single.at(-1)) !== undefined) flags.eos = true;
  }
  const pair = list(processor.get("pair"));
  const ends = pair.flatMap((item, i) => (isObject(item) && item.has("Sequence") ? [i] : []));
  const between = pair[(ends[0] ?? 0) + 1];
  if (ends.length < 2 || between === undefined || (ends[1] ?? 0) - (ends[0] ?? 0) < 2) return;
  const separators = ["sep", "eos"].map((role) => contentOf(files.tokenizerConfig?.get(`${role}_token`)));
  flags.sep = separators.includes(specialOf(between)) && specialOf(between) !== undefined;
}

function specialOf(item: Json | undefined): string | undefined {
  const token = isObject(item) ? item.get("SpecialToken") : undefined;
  const id = isObject(token) ? token.get("id") : undefined;
  return typeof id === "string" ? id : undefined;
}

function templateEntries(files: TokenizerFiles): readonly Entry[] {
  const key = "tokenizer.chat_template";
  const own = files.tokenizerConfig?.get("chat_template");
  if (typeof own === "string") return [[key, ggufText(own)]];
  const named = list(own).flatMap((each) => {
    const name = isObject(each) ? each.get("name") : undefined;
    const template = isObject(each) ? each.get("template") : undefined;
    return typeof name === "string" && typeof template === "string" ? [{ name, template }] : [];
  });
  if (named.length === 0) {
    return files.chatTemplate === undefined ? [] : [[key, ggufText(files.chatTemplate)]];
  }
  const others = named.filter(({ name }) => name !== "default");
  return [
    ...named.flatMap(({ name, template }): readonly Entry[] => [
      [name === "default" ? key : `${key}.${name}`, ggufText(template)],
    ]),
    ...(others.length > 0 ? [[`${key}s`, ggufTexts(others.map(({ name }) => name))] as const] : []),
  ];
}

/** A flag entry; absent flags are left out. */
function flagEntry(key: string, value: boolean | undefined): readonly Entry[] {
  return value === undefined ? [] : [[key, ggufBool(value)]];
}
