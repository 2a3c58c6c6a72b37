import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isObject, type Json, type JsonObject, parseJson } from "./core/json.ts";
import { PACKAGE_ROOT } from "./core/package-root.ts";

const FILE = join(PACKAGE_ROOT, "assets/presets.json");

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
