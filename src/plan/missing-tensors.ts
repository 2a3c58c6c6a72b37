import type { JsonObject } from "../core/json.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";
import type { Parameter } from "./parameter.ts";
import { architectureKeys, architectureOf } from "./registry.ts";
import { renameSources, sourceNames } from "./table.ts";

/** A table, and the checkpoint that lacks some of its tensors. */
export interface MissingInput {
  readonly key: string;
  /** config.json as parsed. */
  readonly config: JsonObject;
  readonly derived: DerivedConfig;
  /** Names that the table needs. */
  readonly needed: readonly string[];
  /** Names that the checkpoint has. */
  readonly names: ReadonlySet<string>;
}

/** The best guess why tensors are missing, as advice; undefined if there is none. */
export async function explainMissing(input: MissingInput): Promise<string | undefined> {
  const fitting = (await fittingKeys(input.names, input.config)).filter((key) => key !== input.key);
  const [best] = fitting;
  if (best !== undefined) return `these names fit ${best}: name it with --model-type ${best}`;
  return tiedHead(input) ?? otherPrefix(input) ?? fewerLayers(input);
}

/**
 * Keys of the architectures whose table finds all its tensors among `names`, those that use the most names first.
 */
export async function fittingKeys(
  names: ReadonlySet<string>,
  config: JsonObject,
): Promise<readonly string[]> {
  const counts = await Promise.all(
    architectureKeys().map(async (key) => ({ key, used: usedBy(await architectureOf(key), names, config) })),
  );
  return counts
    .filter(({ used }) => used > 0)
    .sort((a, b) => b.used - a.used)
    .map(({ key }) => key);
}

/** How many of `names` a table reads; 0 if one that it needs is missing or the config is not for it. */
function usedBy(architecture: Architecture, names: ReadonlySet<string>, config: JsonObject): number {
  const table = tableOf(architecture, config);
  const alias = architecture.aliases?.(names);
  return Math.max(found(table, names), alias ? found(renameSources(table, alias.rename), names) : 0);
}

function tableOf(architecture: Architecture, config: JsonObject): readonly Parameter[] {
  try {
    return architecture.parameters(architecture.derive(config));
  } catch {
    return [];
  }
}

function found(table: readonly Parameter[], names: ReadonlySet<string>): number {
  const needed = new Set(table.flatMap((one) => sourceNames(one.value)));
  return [...needed].every((name) => names.has(name)) ? needed.size : 0;
}

function tiedHead({ needed, names, derived }: MissingInput): string | undefined {
  const missing = needed.filter((name) => !names.has(name));
  const head = missing.length === 1 && missing[0]?.endsWith("lm_head.weight");
  if (!head || !derived.fields.has("tie_word_embeddings")) return undefined;
  return 'if the output layer is tied to the embedding, config.json must say "tie_word_embeddings": true';
}

/** Names with something before them that the table does not expect, or without something that it does. */
function otherPrefix({ needed, names }: MissingInput): string | undefined {
  const missing = needed.find((name) => !names.has(name) && /(^|\.)(layers|h|blocks|layer)\.0\./.test(name));
  if (missing === undefined) return undefined;
  for (const name of names) {
    if (name.endsWith(`.${missing}`)) {
      const prefix = name.slice(0, name.length - missing.length);
      if (mostly(needed, (one) => names.has(prefix + one))) {
        return `the checkpoint's names begin with "${prefix}", which this architecture does not expect`;
      }
    }
    if (missing.endsWith(`.${name}`)) {
      const prefix = missing.slice(0, missing.length - name.length);
      if (mostly(needed, (one) => one.startsWith(prefix) && names.has(one.slice(prefix.length)))) {
        return `the checkpoint's names lack "${prefix}", which this architecture expects`;
      }
    }
  }
  return undefined;
}

/** A head often has a prefix of its own, so a few names may not follow the rule. */
function mostly(needed: readonly string[], holds: (name: string) => boolean): boolean {
  return needed.filter(holds).length >= needed.length - 2;
}

function fewerLayers({ needed, names }: MissingInput): string | undefined {
  const layer = (name: string): number =>
    Number(/\.(?:layers|h|blocks|layer)\.(\d+)\./.exec(name)?.[1] ?? -1);
  const missing = needed.filter((name) => !names.has(name)).map(layer);
  const present = needed.filter((name) => names.has(name)).map(layer);
  const last = present.reduce((most, index) => Math.max(most, index), -1);
  if (last < 0 || missing.length === 0 || missing.some((index) => index <= last)) return undefined;
  return `the checkpoint has ${last + 1} layers, config.json says more: a file may be missing`;
}
