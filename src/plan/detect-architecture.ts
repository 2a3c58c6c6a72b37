import { PlanError } from "../core/errors.ts";
import { isArray, isObject, type JsonObject } from "../core/json.ts";
import type { Architecture } from "./architecture.ts";
import { architectureKeys, architectureOf, listArchitectures, unknownArchitecture } from "./registry.ts";

/** Which architecture a config.json means, and why. */
export interface Detection {
  readonly key: string;
  /** Things worth telling the user, one sentence each. */
  readonly notices: readonly string[];
}

/**
 * Finds the architecture of a config.json: by `override` if it is given, else by `model_type` (or
 * `model_config.model_type`), with the class names in `architectures` as a second opinion.
 *
 * @param override a key, from `--model-type`
 * @throws {PlanError} `E_UNKNOWN_ARCHITECTURE` or `E_MODEL_TYPE_MISSING`, with the most likely key
 */
export async function detectArchitecture(config: JsonObject, override?: string): Promise<Detection> {
  if (override !== undefined) return { key: (await architectureOf(override)).key, notices: [] };
  const type = modelType(config);
  if (type === undefined) throw await missingModelType(config);
  const typed = new Map([...config, ["model_type", type]]);
  return architectureKeys().includes(type) ? refine(type, typed) : recognize(type, typed);
}

function modelType(config: JsonObject): string | undefined {
  const inner = config.get("model_config");
  const found = config.get("model_type") ?? (isObject(inner) ? inner.get("model_type") : undefined);
  return typeof found === "string" ? found : undefined;
}

function classNames(config: JsonObject): readonly string[] {
  const names = config.get("architectures");
  return isArray(names) ? names.filter((name) => typeof name === "string") : [];
}

/** A model type that is a key may still mean a variant of that architecture. */
async function refine(type: string, config: JsonObject): Promise<Detection> {
  const keys = architectureKeys().filter((key) => key.startsWith(`${type}-`));
  const variants = await Promise.all(keys.map(architectureOf));
  const variant = variants.find((one) => one.recognizes?.(config));
  if (variant) return { key: variant.key, notices: [readAs(type, variant.key, config)] };
  const likely = variants.filter((one) => one.suggests?.(config)).map((one) => one.key);
  const notices = likely.map(
    (key) => `config.json looks like ${key}: name it with --model-type ${key} if it is`,
  );
  return { key: type, notices: [...notices, ...(await secondOpinion(type, config))] };
}

/** Says so if the class names belong to other architectures only. */
async function secondOpinion(type: string, config: JsonObject): Promise<readonly string[]> {
  const names = classNames(config);
  const own = (await architectureOf(type)).classes;
  if (names.length === 0 || own.length === 0 || names.some((name) => own.includes(name))) return [];
  const others = await ofClass(names);
  if (others.length === 0) return [];
  const keys = others.map((one) => one.key).join(" or ");
  return [`config.json says model_type "${type}", but its class ${names.join(", ")} is that of ${keys}`];
}

/** A model type that is no key may be another name for one. */
async function recognize(type: string, config: JsonObject): Promise<Detection> {
  const found = (await listArchitectures()).find((one) => one.recognizes?.(config));
  if (found) return { key: found.key, notices: [readAs(type, found.key, config)] };
  throw unknownArchitecture(type, (await ofClass(classNames(config)))[0]?.key);
}

function readAs(type: string, key: string, config: JsonObject): string {
  const names = classNames(config);
  const because = names.length > 0 ? ` of class ${names.join(", ")}` : "";
  return `model_type "${type}"${because} is read as ${key}`;
}

async function ofClass(names: readonly string[]): Promise<readonly Architecture[]> {
  const all = await listArchitectures();
  return all.filter((one) => one.classes.some((name) => names.includes(name)));
}

async function missingModelType(config: JsonObject): Promise<PlanError> {
  const likely = (await ofClass(classNames(config))).map((one) => one.key);
  const suggestion = likely.length > 0 ? ` (its class is that of ${likely.join(" or ")})` : "";
  return new PlanError("E_MODEL_TYPE_MISSING", "config.json has no model_type", {
    hint: `name the architecture with --model-type${suggestion}`,
  });
}
