/** Expands test/golden/architectures/architectures.json, the tables as data, for a derived config. */
import { readFileSync } from "node:fs";
import { isObject, type Json, type JsonObject, parseJson, toNumber } from "../../src/core/json.ts";
import type { DerivedConfig } from "../../src/plan/architecture.ts";
import { evaluate, type Scope } from "./reference-expressions.ts";

interface Template {
  readonly name: string;
  readonly kind: string;
  readonly shape: readonly string[];
  readonly verb: string;
  readonly sources: string;
  readonly noQuant?: boolean;
  readonly dtype?: string;
  readonly if?: string;
  readonly shard?: { readonly name: string; readonly dim: number; readonly segs: readonly string[] | null };
}

interface Entry {
  readonly symbols: Readonly<Record<string, string>>;
  readonly params: readonly Template[];
  readonly unused: readonly string[];
}

interface Registration {
  readonly config: string;
  readonly sources: readonly string[];
  readonly quantizationKinds: readonly string[];
  readonly modelTask: string;
  readonly embeddingMetadata: Readonly<Record<string, string | boolean>> | null;
}

/** A parameter as the tables describe it. */
export interface Expected {
  readonly name: string;
  readonly kind: string;
  readonly shape: readonly (number | string)[];
  readonly dtype: string | undefined;
  readonly noQuant: boolean;
  readonly verb: string;
  readonly sources: readonly string[];
  readonly shard:
    | { readonly name: string; readonly dim: number; readonly segments?: readonly number[] }
    | undefined;
}

const folder = new URL("../golden/architectures/", import.meta.url);
const tables = JSON.parse(readFileSync(new URL("architectures.json", folder), "utf8")) as Readonly<
  Record<string, Entry>
> & { readonly _about: { readonly registry: Readonly<Record<string, Registration>> } };

export const registry: Readonly<Record<string, Registration>> = tables._about.registry;

/** Reads one of the golden files of this folder, an object. */
export function readGolden(name: string): JsonObject {
  const value = parseJson(readFileSync(new URL(name, folder), "utf8"));
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
}

function entryOf(key: string, config: DerivedConfig): Entry {
  const mixformer = key === "phi-msft" && config.fields.get("model_type") === "mixformer-sequential";
  const entry = tables[mixformer ? "phi-msft/mixformer" : key];
  if (entry === undefined) throw new Error(`no table for ${key}`);
  return entry;
}

function scopeOf(entry: Entry, config: DerivedConfig): Scope {
  const scope: Map<string, unknown> = new Map(
    [...config.fields].map(([name, value]) => [name, plain(value)]),
  );
  scope.set("kwargs", plain(config.extra));
  for (const [symbol, expression] of Object.entries(entry.symbols)) {
    try {
      scope.set(symbol, evaluate(expression, scope));
    } catch {
      scope.delete(symbol);
    }
  }
  return scope;
}

function plain(value: Json): unknown {
  if (isObject(value)) return Object.fromEntries([...value].map(([key, member]) => [key, plain(member)]));
  return Array.isArray(value) ? value.map(plain) : (toNumber(value) ?? value);
}

const LOOPS: Readonly<Record<string, string>> = { "{i}": "L", "{j}": "VL", "{h}": "MH", "{l}": "ML" };

function* loop(template: string, scope: Scope): Generator<Scope> {
  const hit = Object.entries(LOOPS).filter(([variable]) => template.includes(variable));
  let scopes: Scope[] = [scope];
  for (const [variable, count] of hit) {
    const limit = Number(scope.get(count));
    scopes = scopes.flatMap((outer) =>
      Array.from({ length: limit }, (_, index) => new Map([...outer, [variable.slice(1, -1), index]])),
    );
  }
  yield* scopes;
}

function fill(template: string, scope: Scope): string {
  return template.replace(/\{([^{},]+)\}/g, (_, expression: string) => String(evaluate(expression, scope)));
}

function expandSources(template: string, scope: Scope): readonly string[] {
  const perExpert = template.includes("{e}")
    ? Array.from({ length: Number(scope.get("E")) }, (_, e) => template.replace("{e}", String(e)))
    : [template];
  return perExpert.flatMap((one) => {
    const group = /\{([^{}]*,[^{}]*)\}/.exec(one);
    const words = group?.[1]?.split(",") ?? [""];
    return words.map((word) => fill(group === null ? one : one.replace(group[0], word), scope));
  });
}

function expandOne(template: Template, scope: Scope): Expected {
  const size = (expression: string) =>
    expression === "@vocab" ? "vocab" : Number(evaluate(expression, scope));
  const { shard, dtype } = template;
  return {
    name: fill(template.name, scope),
    kind: template.kind,
    shape: template.shape.map(size),
    dtype: dtype?.startsWith("cfg.") ? String(scope.get(dtype.slice(4))) : dtype,
    noQuant: template.noQuant ?? false,
    verb: template.verb,
    sources: expandSources(template.sources, scope),
    shard: shard && {
      name: shard.name,
      dim: shard.dim,
      ...(shard.segs && { segments: shard.segs.map((segment) => Number(size(segment))) }),
    },
  };
}

/** Every parameter that the table of `key` has for this config. */
export function expectedParameters(key: string, config: DerivedConfig): readonly Expected[] {
  const entry = entryOf(key, config);
  const scope = scopeOf(entry, config);
  return entry.params.flatMap((template) =>
    [...loop(template.name, scope)]
      .filter((inner) => template.if === undefined || evaluate(template.if, inner) === true)
      .map((inner) => expandOne(template, inner)),
  );
}

/** The names that the table of `key` declares unused. */
export function expectedUnused(key: string, config: DerivedConfig): readonly string[] {
  const entry = entryOf(key, config);
  const scope = scopeOf(entry, config);
  return entry.unused.flatMap((name) =>
    [...loop(name.replace("{i+1}", "{i}"), scope)].map((inner) => fill(name, inner)),
  );
}
