import type { FileIntegrity } from "../core/integrity.ts";
import { integrityOf } from "../core/integrity.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { formatJson, isObject, parseJson } from "../core/json.ts";

/** Where a converted model comes from and how it was made; runtimes do not read it. */
export interface Provenance {
  readonly toolVersion: string;
  readonly source: {
    /** What the user named: repository, address or folder. */
    readonly id: string;
    /** Resolved commit; `null` where the source has none. */
    readonly commit: string | null;
    readonly files: ReadonlyMap<string, FileIntegrity>;
  };
  readonly conversion: {
    readonly modelType: string;
    readonly quantization: string;
    /** Backend that computed the weights; `null` when only the config was made. */
    readonly backend: string | null;
    /** What was asked for beyond defaults, by option name. */
    readonly options: ReadonlyMap<string, Json>;
    /** Digest of the plan; `null` when only the config was made. */
    readonly planDigest: string | null;
  };
  /** Every file of the result but the shards, whose hashes the index has. */
  readonly files: ReadonlyMap<string, FileIntegrity>;
}

export const PROVENANCE_NAME = "mlc-convert.json";
const DIGEST = /"digest": "([^"]*)"/;

/**
 * The text of mlc-convert.json. Its last field is the SHA-256 of the text itself with that field empty, so
 * that a change of any byte shows. Pure: the same facts give the same text, whenever they are written.
 */
export function formatProvenance(provenance: Provenance): string {
  const { source, conversion } = provenance;
  const content = new Map<string, Json>([
    ["version", 1],
    [
      "tool",
      new Map([
        ["name", "mlc-convert"],
        ["version", provenance.toolVersion],
      ]),
    ],
    [
      "source",
      new Map<string, Json>([
        ["id", source.id],
        ["commit", source.commit],
        ["files", filesToJson(source.files)],
      ]),
    ],
    [
      "conversion",
      new Map<string, Json>([
        ["model_type", conversion.modelType],
        ["quantization", conversion.quantization],
        ["backend", conversion.backend],
        ["options", conversion.options],
        ["plan_digest", conversion.planDigest],
      ]),
    ],
    ["files", filesToJson(provenance.files)],
    ["digest", ""],
  ]);
  const unsigned = formatJson(content, 2);
  const signed = new Map(content).set("digest", integrityOf(unsigned).integrity);
  return formatJson(signed, 2);
}

/** What mlc-convert.json lists, after its own digest was checked. */
export interface CheckedProvenance {
  /** Files of the result by name. */
  readonly files: ReadonlyMap<string, FileIntegrity>;
  /** What is wrong with the text itself; nothing it says counts then. */
  readonly problem?: string;
}

/** Checks the digest of an mlc-convert.json and reads the hashes it lists. */
export function readProvenance(text: string): CheckedProvenance {
  const nothing = new Map<string, FileIntegrity>();
  const expected = lastDigest(text);
  if (expected === undefined) return { files: nothing, problem: "expected a digest, found none" };
  const found = integrityOf(expected.unsigned).integrity;
  if (found !== expected.digest)
    return { files: nothing, problem: `expected ${expected.digest}, found ${found}` };
  const content = parseJson(text);
  const files = isObject(content) ? content.get("files") : undefined;
  return { files: isObject(files) ? filesFromJson(files) : nothing };
}

function lastDigest(text: string): { readonly digest: string; readonly unsigned: string } | undefined {
  const at = text.lastIndexOf('"digest": "');
  const match = at < 0 ? undefined : DIGEST.exec(text.slice(at));
  if (!match?.[1]) return undefined;
  const unsigned = `${text.slice(0, at)}"digest": ""${text.slice(at + match[0].length)}`;
  return { digest: match[1], unsigned };
}

function filesToJson(files: ReadonlyMap<string, FileIntegrity>): JsonObject {
  return new Map(
    [...files].map(([name, { nbytes, integrity }]): [string, Json] => [
      name,
      new Map<string, Json>([
        ["nbytes", nbytes],
        ["integrity", integrity],
      ]),
    ]),
  );
}

function filesFromJson(files: JsonObject): ReadonlyMap<string, FileIntegrity> {
  const found = new Map<string, FileIntegrity>();
  for (const [name, entry] of files) {
    const nbytes = isObject(entry) ? entry.get("nbytes") : undefined;
    const integrity = isObject(entry) ? entry.get("integrity") : undefined;
    if (typeof nbytes === "number" && typeof integrity === "string") found.set(name, { nbytes, integrity });
  }
  return found;
}
