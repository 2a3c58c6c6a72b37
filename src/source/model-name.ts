import { UsageError } from "../core/errors.ts";
import { OFFICIAL_ENDPOINT } from "./environment.ts";

/** A repository on the hub at a revision that is not resolved yet. */
export interface HubName {
  readonly kind: "hub";
  /** `org/name`. */
  readonly repo: string;
  /** Branch, tag, commit or `refs/pr/N`; `main` when none was given. */
  readonly revision: string;
}

/** What the user typed, understood. `path` is as typed. */
export type ModelName =
  | HubName
  | { readonly kind: "local"; readonly path: string; readonly exists: boolean }
  | { readonly kind: "preset"; readonly name: string };

export interface NameOptions {
  /** The hub's address; its host is accepted in addresses besides huggingface.co. */
  readonly endpoint: string;
  /** The `--revision` option. */
  readonly revision?: string;
  /** Names with a built-in configuration and no weights. */
  readonly presets?: ReadonlySet<string>;
  /** Whether a path exists on this machine. */
  readonly exists: (path: string) => boolean;
}

const FORMS =
  "Accepted: a local folder or file, org/repo, org/repo@revision, HF://org/repo[@revision], https://huggingface.co/org/repo[/tree/revision].";

/**
 * Understands a model's name. A local path that exists always wins.
 * @throws {UsageError} E_MODEL_NAME, E_MODEL_HOST, E_REVISION, E_REVISION_CONFLICT
 */
export function parseModelName(text: string, options: NameOptions): ModelName {
  if (text === "" || text.includes("\0")) throw refuse(text, "it is empty or holds a NUL character");
  if (options.exists(text)) return { kind: "local", path: text, exists: true };
  if (/^hf:\/\//i.test(text)) return parseRepository(text.slice(5), text, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(text)) return parseAddress(text, options);
  if (/^[./~]|\\|^[a-zA-Z]:/.test(text)) return { kind: "local", path: text, exists: false };
  if (options.presets?.has(text)) return { kind: "preset", name: text };
  if (!text.includes("/"))
    throw refuse(text, "no such file or folder, and a repository needs an organisation");
  return parseRepository(text, text, options);
}

/**
 * Refuses what cannot be a repository id (formats.md §12.1).
 * @throws {UsageError} E_MODEL_NAME
 */
export function checkRepository(repo: string, typed: string = repo): void {
  const parts = repo.split("/");
  if (parts.length !== 2) throw refuse(typed, "a repository is exactly org/name");
  for (const part of parts) {
    const sound = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$/.test(part);
    if (!sound || /--|\.\./.test(part) || part.endsWith(".git")) {
      throw refuse(typed, `${JSON.stringify(part)} cannot be part of a repository name`);
    }
  }
}

/**
 * Refuses what cannot be a branch, tag, commit or pull reference, and anything that could leave a folder.
 * @throws {UsageError} E_REVISION
 */
export function checkRevision(revision: string): void {
  const parts = revision.split("/");
  const sound = /^[\x21-\x7e]+$/.test(revision) && !/[\\:?*<>|"~^[\]]/.test(revision);
  if (!sound || parts.some((part) => part === "" || part.startsWith(".") || part.endsWith(".lock"))) {
    throw new UsageError("E_REVISION", `${JSON.stringify(revision)} cannot be a revision`, {
      hint: "Give a branch, a tag, a commit or refs/pr/N.",
    });
  }
}

/** True for a full commit hash. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

function parseRepository(rest: string, typed: string, options: NameOptions): HubName {
  const [, repo = "", inside] = /^([^@:]*)(?:[@:](.*))?$/s.exec(rest) ?? [];
  checkRepository(repo, typed);
  if (inside === "") throw refuse(typed, "the revision after the name is empty");
  return named(repo, inside, options);
}

function parseAddress(text: string, options: NameOptions): HubName {
  if (!URL.canParse(text)) throw refuse(text, "it is no valid address");
  const url = new URL(text);
  if (url.origin !== OFFICIAL_ENDPOINT && url.origin !== new URL(options.endpoint).origin) {
    throw new UsageError("E_MODEL_HOST", `models are not fetched from ${url.protocol}//${url.host}`, {
      hint: `Use ${OFFICIAL_ENDPOINT}, or set HF_ENDPOINT to the hub you mean (https).`,
    });
  }
  const base = url.origin === new URL(options.endpoint).origin ? new URL(options.endpoint).pathname : "/";
  const inside = url.pathname.slice(base.replace(/\/$/, "").length);
  const parts = inside
    .split("/")
    .filter((part) => part !== "")
    .map(decodePart);
  const [org = "", name = "", verb, ...rest] = parts;
  if (org === "datasets" || org === "spaces")
    throw refuse(text, `this is one of the hub's ${org}, not a model`);
  checkRepository(parts.length < 2 ? org : `${org}/${name}`, text);
  if (verb === undefined) return named(`${org}/${name}`, undefined, options);
  return named(`${org}/${name}`, revisionBelow(verb, rest, text), options);
}

/** The revision in `/tree/<rev>`, `/blob/<rev>/file`, `/resolve/<rev>/file`. */
function revisionBelow(verb: string, rest: readonly string[], typed: string): string {
  const pull = rest[0] === "refs" && rest.length >= 3;
  const revision = pull ? rest.slice(0, 3).join("/") : rest[0];
  const below = rest.slice(pull ? 3 : 1);
  if (!["tree", "blob", "resolve"].includes(verb) || revision === undefined) {
    throw refuse(typed, `/${verb} is not a page of a model's files`);
  }
  const file = verb !== "tree" && below.length === 1 && isModelFile(below[0] ?? "");
  if (below.length > 0 && !file) throw refuse(typed, `"${below.join("/")}" names something inside the model`);
  return revision;
}

/** A file whose page stands for the whole model. */
function isModelFile(name: string): boolean {
  return /^(config|mlc-chat-config|tensor-cache)\.json$|\.(safetensors|bin)(\.index\.json)?$/.test(name);
}

function named(repo: string, inside: string | undefined, options: NameOptions): HubName {
  const { revision: option } = options;
  if (inside !== undefined && option !== undefined && inside !== option) {
    throw new UsageError(
      "E_REVISION_CONFLICT",
      `the name says revision "${inside}", the option "${option}"`,
      {
        hint: "Give the revision once.",
      },
    );
  }
  const revision = inside ?? option ?? "main";
  checkRevision(revision);
  return { kind: "hub", repo, revision };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function refuse(typed: string, why: string): UsageError {
  return new UsageError("E_MODEL_NAME", `${JSON.stringify(typed)} is not the name of a model: ${why}`, {
    hint: FORMS,
  });
}
