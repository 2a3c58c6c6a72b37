import { runInNewContext } from "node:vm";
import { Template } from "@huggingface/jinja";
import type { Json, JsonObject } from "../core/json.ts";
import { isArray, isObject } from "../core/json.ts";
import { namedTokens, tokenText } from "./active-vocab.ts";
import type { ConfigFolder } from "./config-folder.ts";
import type { Probe, ProbeText } from "./probes.ts";

/** The checkpoint's own chat template (Jinja). */
export interface ChatTemplate {
  readonly text: string;
  /** Where it was found, for messages. */
  readonly from: string;
  readonly bosToken: string;
  readonly eosToken: string;
  /** True when it writes the current date, which no conversation template can do. */
  readonly writesDate: boolean;
  /** Renders a probe; a template that raises an exception refuses it. */
  readonly render: (probe: Probe) => ProbeText;
}

/** The template language's clock; probes get a fixed one, so that a result does not change from day to day. */
const CLOCK = "strftime_now";
const PROBE_DATE: Readonly<Record<string, string>> = {
  "%d": "26",
  "%b": "Jul",
  "%B": "July",
  "%m": "07",
  "%Y": "2024",
  "%A": "Friday",
  "%H": "12",
  "%M": "00",
};

function probeDate(format: string): string {
  return format.replace(/%[a-zA-Z]/g, (field) => PROBE_DATE[field] ?? "");
}

/** A probe takes about a millisecond. */
const PROBE_TIMEOUT_MS = 2000;
/** Published templates are at most some 20 kB. */
const MAX_CHARACTERS = 1 << 20;

/**
 * Finds and parses the chat template (chat-templates.md §5.1); `undefined` when there is none.
 * A template that does not parse refuses every probe.
 */
export async function readChatTemplate(
  folder: ConfigFolder,
  tokenizerConfig: JsonObject | undefined,
): Promise<ChatTemplate | undefined> {
  const found = await findText(folder, tokenizerConfig);
  if (!found || found.text.trim() === "" || found.text.length > MAX_CHARACTERS) return undefined;
  const named = namedTokens({
    tokenizerConfig,
    specialTokensMap: await folder.readObject("special_tokens_map.json"),
  });
  return makeChatTemplate(found.text, found.from, named);
}

/** A chat template with the special tokens that it may refer to. */
export function makeChatTemplate(text: string, from: string, named: ReadonlyMap<string, Json>): ChatTemplate {
  const token = (name: string): string => tokenText(named.get(name)) ?? "";
  const variables: Record<string, string> = { bos_token: token("bos_token"), eos_token: token("eos_token") };
  for (const name of ["unk_token", "pad_token"]) if (named.has(name)) variables[name] = token(name);
  return {
    text,
    from,
    bosToken: token("bos_token"),
    eosToken: token("eos_token"),
    writesDate: text.includes(CLOCK),
    render: renderer(text.replaceAll(CLOCK, "probe_date"), { ...variables, probe_date: probeDate }),
  };
}

/** A template comes with the checkpoint and can loop for ever; the engine's watchdog ends that. */
function withinTime(render: () => string): string {
  return String(runInNewContext("render()", { render }, { timeout: PROBE_TIMEOUT_MS }));
}

function renderer(text: string, variables: Readonly<Record<string, unknown>>): ChatTemplate["render"] {
  const attempt = (make: () => string): ProbeText => {
    try {
      return { text: make() };
    } catch (error) {
      return { refused: error instanceof Error ? error.message : String(error) };
    }
  };
  let template: Template | undefined;
  const parsed = attempt(() => {
    template = new Template(text);
    return "";
  });
  return (probe) => {
    if (!template) return parsed;
    const ready = template;
    const messages = probe.messages.map((message) => ({ ...message }));
    const render = (): string => ready.render({ ...variables, messages, add_generation_prompt: probe.reply });
    return attempt(() => withinTime(render));
  };
}

async function findText(
  folder: ConfigFolder,
  tokenizerConfig: JsonObject | undefined,
): Promise<{ readonly text: string; readonly from: string } | undefined> {
  if (folder.has("chat_template.jinja"))
    return { text: await folder.readText("chat_template.jinja"), from: "chat_template.jinja" };
  const own = templateText(tokenizerConfig?.get("chat_template"));
  if (own !== undefined) return { text: own, from: "tokenizer_config.json" };
  const processor = (await folder.readObject("chat_template.json"))?.get("chat_template");
  const text = templateText(processor);
  return text === undefined ? undefined : { text, from: "chat_template.json" };
}

/** A string, or of a list of named templates the one named `default`. */
function templateText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (!isArray(value)) return undefined;
  const named = value.filter(isObject).find((entry) => entry.get("name") === "default");
  const text = named?.get("template");
  return typeof text === "string" ? text : undefined;
}
