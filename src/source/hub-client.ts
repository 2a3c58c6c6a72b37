import { SourceError } from "../core/errors.ts";
import { isArray, isObject, type Json, parseJson, toNumber } from "../core/json.ts";
import type { SourceDeps } from "./deps.ts";
import { type Patience, patienceOf } from "./environment.ts";
import type { HttpReply } from "./http.ts";
import { explainNoAnswer, explainStatus, type HubQuestion } from "./hub-errors.ts";
import { redactUrl } from "./redact.ts";
import { checkRepositoryPath } from "./repository-path.ts";
import { DEFAULT_TIMING, type Timing, throwIfAborted, withRetries } from "./retry.ts";

/** A repository at a commit. */
export interface HubModel {
  readonly repo: string;
  /** As the user asked. */
  readonly revision: string;
  /** 40 hex digits. */
  readonly commit: string;
}

/** One file of a repository as the hub lists it. */
export interface RemoteFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Content hash of files in large-file storage. */
  readonly sha256?: string;
  /** Git blob SHA-1, of the content or of its pointer. */
  readonly oid: string;
}

export interface HubClientOptions {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly timing?: Timing;
}

/** What one request is about. */
export interface Asking extends Pick<HubQuestion, "repo" | "revision" | "file"> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** How one request is sent. */
export interface Sending extends Pick<Asking, "headers" | "signal"> {
  /** To the first header; default the patience for content. */
  readonly timeoutMs?: number;
}

const MAX_REDIRECTS = 5;
const MAX_JSON_BYTES = 100_000_000;

/** Speaks the hub's protocol (formats.md §12). The token goes to the endpoint's own origin and nowhere else. */
export class HubClient {
  readonly endpoint: string;
  readonly timing: Timing;
  private readonly deps: SourceDeps;
  private readonly token: string | undefined;
  private readonly patience: Patience;

  /** @throws {UsageError} E_TIMEOUT */
  constructor(deps: SourceDeps, options: HubClientOptions) {
    this.deps = deps;
    this.endpoint = options.endpoint;
    this.token = options.token;
    this.timing = options.timing ?? DEFAULT_TIMING;
    this.patience = patienceOf(deps);
  }

  /**
   * Resolves a branch, tag or short commit, once.
   * @throws {SourceError} E_HUB_…
   */
  async resolveRevision(repo: string, revision: string): Promise<HubModel> {
    const url = `${this.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}`;
    const { json } = await this.json(url, { repo, revision });
    const sha = isObject(json) ? json.get("sha") : undefined;
    if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha)) throw this.notAHub(url);
    return { repo, revision, commit: sha };
  }

  /**
   * All files of a commit with sizes and hashes.
   * @throws {SourceError} E_HUB_…, E_REPOSITORY_PATH
   */
  async listFiles({ repo, commit }: HubModel): Promise<RemoteFile[]> {
    const files: RemoteFile[] = [];
    let url: string | undefined = `${this.endpoint}/api/models/${repo}/tree/${commit}?recursive=true`;
    for (let page = 0; url !== undefined; page++) {
      if (page > 1000) throw this.notAHub(url);
      const { json, next }: { json: Json; next: string | undefined } = await this.json(url, {
        repo,
        revision: commit,
      });
      if (!isArray(json)) throw this.notAHub(url);
      for (const entry of json) {
        const file = parseEntry(entry, repo);
        if (file) files.push(file);
      }
      url = next;
    }
    return files;
  }

  /** The address of a file's content; redirects to a signed one if it is large. */
  contentUrl({ repo, commit }: HubModel, file: string): string {
    const path = file.split("/").map(encodeURIComponent).join("/");
    return `${this.endpoint}/${repo}/resolve/${commit}/${path}`;
  }

  /**
   * One try of one request to the hub itself. Redirects inside the hub are followed; a redirect to another
   * host is returned as it is.
   * @throws {SourceError} E_HUB_… with the reason for the refusal
   * @throws {TemporaryFailure} when another try may help
   */
  async ask(url: string, asking: Asking): Promise<{ reply: HttpReply; url: string }> {
    let at = url;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const reply = await this.send(at, { ...asking, timeoutMs: this.patience.hubMs });
      const location = reply.header("location");
      if (reply.status >= 300 && reply.status < 400 && location !== undefined) {
        const target = new URL(location, at);
        if (target.origin !== new URL(this.endpoint).origin) return { reply, url: at };
        reply.discard();
        at = target.href;
        continue;
      }
      if (reply.status < 300) return { reply, url: at };
      reply.discard();
      const question = { ...asking, url: at, token: this.token !== undefined, endpoint: this.endpoint };
      throw explainStatus(reply, question, this.deps.now());
    }
    throw new SourceError("E_HUB_REDIRECTS", `${redactUrl(url)} redirects in circles`);
  }

  /**
   * One request to any address; the token goes along only if it belongs there.
   * @throws {TemporaryFailure} when no answer came
   */
  async send(
    url: string,
    { headers = {}, signal = this.deps.signal, timeoutMs }: Sending,
  ): Promise<HttpReply> {
    throwIfAborted(this.deps.signal);
    const own = new URL(url).origin === new URL(this.endpoint).origin;
    const authorization = own && this.token !== undefined ? { authorization: `Bearer ${this.token}` } : {};
    try {
      return await this.deps.http({
        method: "GET",
        url,
        headers: { ...headers, ...authorization },
        timeoutMs: timeoutMs ?? this.patience.contentMs,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      throwIfAborted(this.deps.signal);
      throw explainNoAnswer(error, url);
    }
  }

  /** Runs `work` with the usual retries, each one told as an event. */
  retrying<T>(what: string, work: () => Promise<T>): Promise<T> {
    return withRetries(work, {
      timing: this.timing,
      signal: this.deps.signal,
      onRetry: ({ message: reason }, waitMs) => this.deps.onEvent({ type: "retry", what, reason, waitMs }),
    });
  }

  /** The error for a server that does not speak the hub's protocol. */
  notAHub(url: string): SourceError {
    return new SourceError("E_HUB_PROTOCOL", `${new URL(url).host} does not answer as a hub does`, {
      hint: "Check HF_ENDPOINT and the proxy; a log-in page of the network can also answer instead.",
    });
  }

  private json(url: string, asking: Asking): Promise<{ json: Json; next: string | undefined }> {
    return this.retrying(asking.repo, async () => {
      const { reply, url: at } = await this.ask(url, asking);
      const text = await this.text(reply, at);
      const link = /<([^>]+)>;\s*rel="next"/.exec(reply.header("link") ?? "")?.[1];
      const next = link === undefined ? undefined : new URL(link, at).href;
      if (next !== undefined && new URL(next).origin !== new URL(this.endpoint).origin)
        throw this.notAHub(next);
      try {
        return { json: parseJson(text), next };
      } catch {
        throw this.notAHub(at);
      }
    });
  }

  private async text(reply: HttpReply, url: string): Promise<string> {
    const chunks: Uint8Array[] = [];
    let nbytes = 0;
    try {
      for await (const chunk of reply.body) {
        chunks.push(chunk);
        nbytes += chunk.byteLength;
        if (nbytes > MAX_JSON_BYTES) break;
      }
    } catch (error) {
      throwIfAborted(this.deps.signal);
      throw explainNoAnswer(error, url);
    }
    if (nbytes > MAX_JSON_BYTES) throw this.notAHub(url);
    return Buffer.concat(chunks).toString("utf8");
  }
}

function parseEntry(entry: Json, repo: string): RemoteFile | undefined {
  if (!isObject(entry) || entry.get("type") !== "file") return undefined;
  const [path, oid, lfs] = [entry.get("path"), entry.get("oid"), entry.get("lfs")];
  const size = toNumber(entry.get("size"));
  if (typeof path !== "string" || typeof oid !== "string" || size === undefined || size < 0) {
    throw new SourceError(
      "E_HUB_PROTOCOL",
      `the file list of ${repo} has an entry without path, oid or size`,
    );
  }
  checkRepositoryPath(path, `the file list of ${repo}`);
  if (!isObject(lfs)) return { path, size, oid: checkHash(oid, 40, path) };
  const sha256 = checkHash(lfs.get("oid"), 64, path);
  return { path, size: toNumber(lfs.get("size")) ?? size, oid: checkHash(oid, 40, path), sha256 };
}

/** A hash becomes a file's name in the cache, so nothing else may pass for one. */
function checkHash(value: Json | undefined, digits: number, path: string): string {
  if (typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value)) return value;
  throw new SourceError("E_HUB_PROTOCOL", `the hub's hash of ${path} is not ${digits} hex digits`);
}
