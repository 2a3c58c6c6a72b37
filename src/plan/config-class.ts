import { PlanError } from "../core/errors.ts";
import { Float, isArray, isObject, type Json, type JsonObject } from "../core/json.ts";
import type { DerivedConfig } from "./architecture.ts";
import { FieldReader, spell } from "./field-reader.ts";

type FieldKind = "integer" | "number" | "boolean" | "string" | "object" | "list" | "any";

/** One field of a config class. */
export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  /** Absent for a required field. A field whose default is null accepts null. */
  readonly fallback?: Json;
  /** Null is a value of its own (the class's rules say what it means). */
  readonly nullable: boolean;
  /** Where newer configs keep the value of a required field. */
  readonly elsewhere?: (config: JsonObject) => Json | undefined;
}

/** Where the extra keys stand when a nested config is written out. */
export const EXTRA_KEYS: Field = { name: "kwargs", kind: "object", fallback: new Map(), nullable: false };

const field = (kind: FieldKind, name: string, fallback?: Json): Field =>
  fallback === undefined
    ? { name, kind, nullable: false }
    : { name, kind, fallback, nullable: fallback === null };

/** Fields by kind; without a default the field is required. */
export const integer = (name: string, fallback?: number | null): Field => field("integer", name, fallback);
export const number = (name: string, fallback?: number | Float | null): Field =>
  field("number", name, fallback);
export const flag = (name: string, fallback?: boolean | null): Field => field("boolean", name, fallback);
export const text = (name: string, fallback?: string | null): Field => field("string", name, fallback);
export const object = (name: string, fallback?: JsonObject | null): Field => field("object", name, fallback);
export const list = (name: string, fallback?: readonly Json[] | null): Field => field("list", name, fallback);
export const anything = (name: string, fallback?: Json): Field => field("any", name, fallback);

/** The same field, for which null has a meaning of its own. */
export const nullable = (inner: Field): Field => ({ ...inner, nullable: true });

/** `rope_theta`, a required field of many classes; newer configs keep it in `rope_parameters`. */
export const ropeTheta: Field = { ...number("rope_theta"), elsewhere: ropeThetaInParameters };

/** `rope_parameters.rope_theta`, if the object is there. */
export function ropeThetaInParameters(config: JsonObject): Json | undefined {
  const parameters = config.get("rope_parameters");
  return isObject(parameters) ? parameters.get("rope_theta") : undefined;
}

/** One step of a derivation. */
export type Rule = (draft: Draft) => void;

/** A config class of upstream's: fields in dump order and the rules that fill them, in order. */
export interface ConfigClass {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly rules: readonly Rule[];
  /** Rearranges the keys of config.json before the fields are taken. */
  readonly prepare?: (config: JsonObject) => JsonObject;
}

const CHECKS: Readonly<Record<FieldKind, readonly [string, (value: Json) => boolean]>> = {
  integer: ["an integer", (value) => typeof value === "number"],
  number: ["a number", (value) => typeof value === "number" || value instanceof Float],
  boolean: ["true or false", (value) => typeof value === "boolean"],
  string: ["a string", (value) => typeof value === "string"],
  object: ["an object", isObject],
  list: ["a list", isArray],
  any: ["a value", () => true],
};

/** A config while its rules run. */
export class Draft extends FieldReader {
  readonly fields: Map<string, Json>;
  /** Keys of config.json that are no fields, in file order; rules take what they use. */
  readonly extra: Map<string, Json>;
  readonly notices: string[] = [];

  constructor(where: string, fields: Map<string, Json>, extra: Map<string, Json>) {
    super(where, fields);
    this.fields = fields;
    this.extra = extra;
  }

  set(name: string, value: Json): void {
    this.fields.set(name, value);
  }

  /** Removes an extra key and returns its value; `undefined` if it is absent. */
  take(name: string): Json | undefined {
    const value = this.extra.get(name);
    this.extra.delete(name);
    return value;
  }

  notice(sentence: string): void {
    if (!this.notices.includes(sentence)) this.notices.push(sentence);
  }
}

/**
 * Takes the fields of a class from a config and runs its rules once.
 * @throws {PlanError} naming class and field
 */
export function deriveDraft(
  configClass: ConfigClass,
  config: JsonObject,
  where: string = configClass.name,
): Draft {
  const draft = readDraft(configClass, config, where);
  for (const rule of configClass.rules) rule(draft);
  return draft;
}

/** {@link deriveDraft} for a top-level config: the extra keys are kept apart from the fields. */
export function deriveConfig(configClass: ConfigClass, config: JsonObject): DerivedConfig {
  const draft = deriveDraft(configClass, config);
  const fields = [...draft.fields].filter(([name]) => name !== EXTRA_KEYS.name);
  return { fields: new Map(fields), extra: draft.extra, notices: draft.notices };
}

/** {@link deriveDraft} for a nested config: the extra keys become the member `kwargs`. */
export function deriveNested(draft: Draft, name: string, inner: ConfigClass, config: JsonObject): JsonObject {
  const nested = deriveDraft(inner, config, `${draft.where}.${name}`);
  for (const sentence of nested.notices) draft.notice(sentence);
  if (nested.fields.has(EXTRA_KEYS.name)) nested.set(EXTRA_KEYS.name, nested.extra);
  return nested.fields;
}

/** A nested config as it was written out, its `kwargs` merged up again. */
export function mergeExtraKeys(config: JsonObject): JsonObject {
  const merged = new Map(config);
  const extra = merged.get(EXTRA_KEYS.name);
  merged.delete(EXTRA_KEYS.name);
  if (isObject(extra)) for (const [key, value] of extra) merged.set(key, value);
  return merged;
}

function readDraft(configClass: ConfigClass, config: JsonObject, where: string): Draft {
  const source = configClass.prepare?.(config) ?? config;
  const draft = new Draft(where, new Map(), new Map());
  for (const entry of configClass.fields) draft.set(entry.name, readField(draft, entry, source));
  for (const [key, value] of source) if (!draft.fields.has(key)) draft.extra.set(key, value);
  return draft;
}

function readField(draft: Draft, entry: Field, source: JsonObject): Json {
  const value = source.get(entry.name);
  if (value === undefined) return entry.fallback ?? missingField(draft, entry, source);
  if (value === null) {
    if (entry.nullable || entry.kind === "any") return null;
    if (entry.fallback !== undefined) {
      draft.notice(`${draft.where}.${entry.name} is null: taken as ${spell(entry.fallback)}`);
      return entry.fallback;
    }
  }
  const [expected, holds] = CHECKS[entry.kind];
  if (holds(value)) return value;
  throw new PlanError(
    "E_CONFIG_FIELD_TYPE",
    `${draft.where}.${entry.name}: expected ${expected}, found ${spell(value)}`,
  );
}

function missingField(draft: Draft, entry: Field, source: JsonObject): Json {
  if (entry.fallback === null) return null;
  const value = entry.elsewhere?.(source);
  if (value !== undefined) {
    draft.notice(`${draft.where}.${entry.name} is taken from rope_parameters`);
    return value;
  }
  throw new PlanError(
    "E_CONFIG_FIELD_MISSING",
    `${draft.where}.${entry.name}: required, but config.json has no such key`,
    {
      hint: "check that config.json belongs to this checkpoint, or name the architecture with --model-type",
    },
  );
}
