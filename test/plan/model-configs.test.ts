import { describe, expect, it } from "vitest";
import { formatJson, isObject, type Json, type JsonObject } from "../../src/core/json.ts";
import { deriveForChatConfig } from "../../src/plan/chat-derivation.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { readGolden } from "./reference-tables.ts";

const text = (value: Json | undefined) => (value === undefined ? "absent" : formatJson(value, 1));

function presetInput(name: string, preset: JsonObject): JsonObject {
  const input = preset.get("input");
  if (!isObject(input)) throw new Error(`${name} has no input`);
  return new Map([...input, ["model_preset_tag", name]]);
}

const presets = [...readGolden("presets.json")]
  .filter(([name]) => name !== "_about")
  .map(([name, preset]) => ({ name, preset: preset as JsonObject }));

describe("the derived config", () => {
  it.each(presets)("of preset $name equals upstream's after the first run", async ({ name, preset }) => {
    const architecture = await architectureOf(String(preset.get("model_type")));
    const { fields } = architecture.derive(presetInput(name, preset));
    expect(text(fields)).toBe(text(preset.get("model_config_after_first_pass")));
  });

  it.each(presets)("of preset $name equals upstream's in mlc-chat-config.json", async ({ name, preset }) => {
    const architecture = await architectureOf(String(preset.get("model_type")));
    const { fields } = deriveForChatConfig(architecture, presetInput(name, preset));
    expect(text(fields)).toBe(text(preset.get("model_config")));
  });
});

const chats = [...readGolden("chat-configs.json")].map(([name, chat]) => ({
  name,
  chat: chat as JsonObject,
}));
const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : new Map());

describe("the config of mlc-chat-config.json", () => {
  it.each(chats.filter(({ chat }) => chat.has("model_config")))(
    "of $name equals upstream's",
    async ({ chat }) => {
      const architecture = await architectureOf(String(chat.get("model_type")));
      const config = objectOf(chat.get("config"));
      const { fields } = deriveForChatConfig(architecture, config, objectOf(chat.get("overrides")));
      expect(text(fields)).toBe(text(chat.get("model_config")));
    },
  );
});
