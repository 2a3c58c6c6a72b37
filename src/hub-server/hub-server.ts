import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, type HubDoor, takeFault } from "./faults.ts";
import type { HubCommit, HubFile, HubRepository } from "./repository.ts";
import { type Bandwidth, sendFile } from "./send.ts";

/** One request as the server saw it. */
export interface HubRequest {
  readonly door: HubDoor;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly httpVersion: string;
  /** Number of the connection it came on. */
  readonly connection: number;
  /** Body bytes sent so far. */
  bytes: number;
}

export interface HubServerOptions {
  readonly repositories: readonly HubRepository[];
  /** The token that opens private and gated repositories. */
  readonly token?: string;
  /** Port of the hub itself; default any free one. */
  readonly port?: number;
  readonly bandwidth?: Bandwidth;
  /** Most storage requests that are answered at the same time; further ones get 429 and `Retry-After: 0`. */
  readonly maxTransfers?: number;
  /** Refuse storage requests without a Range header, as the real bridge does for huge files. */
  readonly rangesOnly?: boolean;
}

/**
 * A hub on this machine: the API, `resolve`, and large files behind signed addresses on a second port.
 * For trials, the demo and tests; it knows no more of the protocol than formats.md §12 describes.
 */
export class HubServer {
  /** Faults to strike from now on; may be changed at any time. */
  faults: Fault[] = [];
  readonly requests: HubRequest[] = [];
  /** Most storage connections that were answering at the same time. */
  peakTransfers = 0;
  /** Storage connections that are answering now. */
  transfers = 0;
  /** How fast bodies leave; may be changed at any time. */
  bandwidth: Bandwidth | undefined;
  private readonly hub: Server;
  private readonly store: Server;
  private readonly repositories = new Map<string, HubRepository>();
  private readonly signatures = new Set<string>();
  private readonly options: HubServerOptions;
  private connections = 0;
  private paceAt = 0;

  private constructor(options: HubServerOptions) {
    this.options = options;
    this.bandwidth = options.bandwidth;
    for (const repository of options.repositories) this.repositories.set(repository.id, repository);
    this.hub = createServer((request, response) => this.guard(response, this.onHub(request, response)));
    this.store = createServer((request, response) => this.guard(response, this.onStore(request, response)));
    for (const server of [this.hub, this.store]) {
      server.on("connection", (socket) => {
        Object.assign(socket, { hubConnection: ++this.connections });
      });
    }
  }

  static async start(options: HubServerOptions): Promise<HubServer> {
    const server = new HubServer(options);
    await listen(server.hub, options.port ?? 0);
    await listen(server.store, 0);
    return server;
  }

  /** The address for `HF_ENDPOINT`. */
  get endpoint(): string {
    return addressOf(this.hub);
  }

  /** Body bytes sent from storage so far. */
  get storeBytes(): number {
    return this.requests.reduce((sum, request) => sum + (request.door === "store" ? request.bytes : 0), 0);
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  private guard(response: ServerResponse, work: Promise<void>): void {
    work.catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  }

  private record(door: HubDoor, request: IncomingMessage): HubRequest {
    const { hubConnection } = request.socket as typeof request.socket & { hubConnection?: number };
    const entry = {
      door,
      method: request.method ?? "",
      url: request.url ?? "",
      range: request.headers.range,
      authorization: request.headers.authorization,
      httpVersion: request.httpVersion,
      connection: hubConnection ?? 0,
      bytes: 0,
    };
    this.requests.push(entry);
    return entry;
  }

  private async onHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.endpoint);
    const api = /^\/api\/models\/([^/]+\/[^/]+?)(?:\/(revision|tree)\/([^/]+))?$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const entry = this.record(api ? "api" : "resolve", request);
    const fault = takeFault(this.faults, entry.door, decodeURIComponent(url.pathname));
    if (fault?.kind === "silent") return;
    if (fault?.kind === "status") {
      response.writeHead(fault.status, fault.headers).end();
    } else if (fault?.kind === "redirect-loop") {
      response.writeHead(307, { Location: url.pathname }).end();
    } else if (fault?.kind === "not-a-hub") {
      response
        .writeHead(200, { "Content-Type": "text/html" })
        .end("<html>log in to the hotel network</html>");
    } else if (api) {
      this.onApi(request, response, { id: api[1] ?? "", what: api[2], revision: api[3], url });
    } else if (file) {
      const [, id = "", revision = "", name = ""] = file;
      const found = this.find(request, response, id, decodeURIComponent(revision));
      if (found)
        await this.onResolve(request, response, { ...found, name: decodeURIComponent(name), entry, fault });
    } else {
      response.writeHead(404).end();
    }
  }

  private find(request: IncomingMessage, response: ServerResponse, id: string, revision: string) {
    const repository = this.repositories.get(id);
    const token = request.headers.authorization?.replace(/^Bearer /, "");
    const known = token !== undefined && token === this.options.token;
    const refuse = (status: number, headers: Record<string, string>): undefined => {
      response.writeHead(status, headers).end();
    };
    if (token !== undefined && !known) {
      return refuse(401, { "X-Error-Message": "Invalid credentials in Authorization header" });
    }
    if (!repository) return refuse(known ? 404 : 401, { "X-Error-Code": "RepoNotFound" });
    if (repository.access === "disabled") {
      return refuse(403, { "X-Error-Message": "Access to this resource is disabled." });
    }
    if (repository.access === "private" && !known) return refuse(401, { "X-Error-Code": "RepoNotFound" });
    if (repository.access === "gated" && !known) return refuse(401, { "X-Error-Code": "GatedRepo" });
    const commit = commitOf(repository, revision);
    return commit ? { repository, commit } : refuse(404, { "X-Error-Code": "RevisionNotFound" });
  }

  private onApi(
    request: IncomingMessage,
    response: ServerResponse,
    asked: { id: string; what: string | undefined; revision: string | undefined; url: URL },
  ): void {
    const found = this.find(request, response, asked.id, decodeURIComponent(asked.revision ?? "main"));
    if (!found) return;
    const files = [...found.commit.files.values()];
    if (asked.what !== "tree") {
      const siblings = files.map((file) => ({ rfilename: file.path }));
      const { access } = found.repository;
      sendJson(response, {
        id: asked.id,
        sha: found.commit.sha,
        private: access === "private",
        gated: access === "gated" ? "auto" : false,
        siblings,
      });
      return;
    }
    const from = Number(asked.url.searchParams.get("cursor") ?? 0);
    const page = files.slice(from, from + 1000);
    const next = new URL(asked.url);
    next.searchParams.set("cursor", String(from + 1000));
    const more = from + 1000 < files.length ? { Link: `<${next.href}>; rel="next"` } : {};
    sendJson(response, page.map(treeEntry), more);
  }

  private async onResolve(
    request: IncomingMessage,
    response: ServerResponse,
    asked: { commit: HubCommit; name: string; entry: HubRequest; fault: ReturnType<typeof takeFault> },
  ): Promise<void> {
    const { commit, name, entry, fault } = asked;
    const file = commit.files.get(name);
    const headers = { "X-Repo-Commit": commit.sha };
    if (!file) {
      response.writeHead(404, { ...headers, "X-Error-Code": "EntryNotFound" }).end();
    } else if (file.sha256 === undefined) {
      const sent = (nbytes: number) => {
        entry.bytes += nbytes;
      };
      await sendFile(request, response, file, { etag: file.oid, fault, headers, pace: async () => {}, sent });
    } else {
      const signature = randomBytes(16).toString("hex");
      this.signatures.add(signature);
      const sha256 = fault?.kind === "etag" ? fault.etag : file.sha256;
      const target = `/${commit.sha}/${encodeURI(name)}?X-Signature=${signature}`;
      const linked = { "X-Linked-Etag": `"${sha256}"`, "X-Linked-Size": String(file.size) };
      response.writeHead(302, { ...headers, ...linked, Location: addressOf(this.store) + target }).end();
    }
  }

  private async onStore(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://store");
    const entry = this.record("store", request);
    const signature = url.searchParams.get("X-Signature") ?? "";
    const fault = takeFault(this.faults, "store", decodeURIComponent(url.pathname));
    if (fault?.kind === "silent") return;
    if (fault?.kind === "expired") this.signatures.delete(signature);
    const file = this.stored(decodeURIComponent(url.pathname));
    if (fault?.kind === "status") response.writeHead(fault.status, fault.headers).end();
    else if (!file || !this.signatures.has(signature)) response.writeHead(403).end("signature expired");
    else if (this.transfers >= (this.options.maxTransfers ?? Number.POSITIVE_INFINITY))
      response.writeHead(429, { "Retry-After": "0" }).end();
    else if (this.options.rangesOnly && request.headers.range === undefined) response.writeHead(403).end();
    else await this.transfer(request, response, { file, entry, fault });
  }

  private async transfer(
    request: IncomingMessage,
    response: ServerResponse,
    what: { file: HubFile; entry: HubRequest; fault: ReturnType<typeof takeFault> },
  ): Promise<void> {
    this.peakTransfers = Math.max(this.peakTransfers, ++this.transfers);
    response.once("close", () => this.transfers--);
    await sendFile(request, response, what.file, {
      etag: `s3-${what.file.oid}`,
      fault: what.fault,
      headers: {},
      pace: (nbytes) => this.pace(nbytes),
      ...(this.bandwidth ? { step: stepFor(this.bandwidth) } : {}),
      sent: (nbytes) => {
        what.entry.bytes += nbytes;
      },
    });
  }

  private async pace(nbytes: number): Promise<void> {
    const { bandwidth } = this;
    if (!bandwidth) return;
    const lost = Math.min(0.95, bandwidth.penaltyPerConnection * (this.transfers - 1));
    const rate = bandwidth.bytesPerSecond * (1 - lost);
    const now = performance.now();
    this.paceAt = Math.max(this.paceAt, now) + (nbytes / rate) * 1000;
    if (this.paceAt - now > 1) await sleep(this.paceAt - now, undefined, { ref: false });
  }

  private stored(pathname: string): HubFile | undefined {
    const [, sha = "", ...rest] = pathname.split("/");
    for (const repository of this.repositories.values()) {
      const file = commitOf(repository, sha)?.files.get(rest.join("/"));
      if (file) return file;
    }
    return undefined;
  }
}

/** About two hundred pieces a second. */
function stepFor({ bytesPerSecond }: Bandwidth): number {
  return Math.min(256 << 10, Math.max(4 << 10, Math.ceil(bytesPerSecond / 200)));
}

function commitOf(repository: HubRepository, revision: string): HubCommit | undefined {
  const named = repository.refs.get(revision);
  if (named) return named;
  return [...repository.refs.values()].find((commit) => commit.sha === revision);
}

function treeEntry(file: HubFile): object {
  const { path, size, oid, sha256 } = file;
  const lfs = sha256 === undefined ? {} : { lfs: { oid: sha256, size, pointerSize: 134 } };
  return { type: "file", path, size, oid, ...lfs };
}

function sendJson(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value));
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}
