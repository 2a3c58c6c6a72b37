import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isObject, type Json, type JsonObject, parseJson } from "./core/json.ts";

/** Lies beside src/ and dist/ alike. */
const FILE = fileURLToPath(new URL("../assets/presets.json", import.meta.url));

/** Names with a built-in configuration and no weights, as upstream knows them. */
export async function presetNames(): Promise<ReadonlySet<string>> {
  return new Set((await readPresets()).keys());
}

/** A built-in config.json; it says its own name, as upstream's does. `undefined` where there is none. */
export async function readPreset(name: string): Promise<JsonObject | undefined> {
  const preset = (await readPresets()).get(name);
  return isObject(preset) ? new Map<string, Json>([...preset, ["model_preset_tag", name]]) : undefined;
}

async function readPresets(): Promise<JsonObject> {
  const presets = parseJson(await readFile(FILE, "utf8"));
  return isObject(presets) ? presets : new Map();
}
