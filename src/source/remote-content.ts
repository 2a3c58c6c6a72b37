import { SourceError } from "../core/errors.ts";
import type { SourceDeps } from "./deps.ts";
import type { HttpReply } from "./http.ts";
import type { HubClient, HubModel, RemoteFile } from "./hub-client.ts";
import { explainStatus } from "./hub-errors.ts";
import type { ByteRange } from "./range-set.ts";
import { redactUrl } from "./redact.ts";
import { TemporaryFailure } from "./retry.ts";

/** Times that a signed address may expire without a byte in between. */
const MAX_EXPIRIES = 5;

export interface ContentRequest {
  /** Absent for the whole file. */
  readonly range: ByteRange | undefined;
  /** The ETag that the bytes must belong to. */
  readonly etag: string | undefined;
  readonly signal: AbortSignal;
}

/** An answer with content, and where it came from. */
export interface Content {
  readonly reply: HttpReply;
  /** Host, for messages. */
  readonly host: string;
  /** The storage's ETag if it is a strong one. */
  readonly etag: string | undefined;
}

/**
 * One file's content on the hub: resolved once to its storage, and again when the signed address expires.
 */
export class RemoteContent {
  readonly file: RemoteFile;
  private readonly client: HubClient;
  private readonly model: HubModel;
  private readonly deps: SourceDeps;
  private storage: string | undefined;
  private resolving: Promise<unknown> | undefined;
  private expiries = 0;

  constructor(client: HubClient, model: HubModel, file: RemoteFile, deps: SourceDeps) {
    this.client = client;
    this.model = model;
    this.file = file;
    this.deps = deps;
  }

  /** Where the content comes from, for messages. */
  get hosts(): string {
    const hub = new URL(this.client.endpoint).host;
    const storage = this.storage === undefined ? hub : new URL(this.storage).host;
    return storage === hub ? hub : `${storage} by way of ${hub}`;
  }

  /** Bytes arrived: the address works. */
  works(): void {
    this.expiries = 0;
  }

  /**
   * One try to get bytes. The status is 200, 206 or 416.
   * @throws {SourceError} E_HUB_…, E_DOWNLOAD_OTHER
   * @throws {TemporaryFailure} when another try may help
   */
  async open(request: ContentRequest): Promise<Content> {
    for (;;) {
      const address = this.storage;
      if (address === undefined) {
        const direct = await this.resolveOnce(request);
        if (direct) return direct;
        continue;
      }
      const reply = await this.client.send(address, { headers: headersOf(request), signal: request.signal });
      if ([200, 206, 416].includes(reply.status)) return contentOf(reply, address);
      reply.discard();
      this.refused(reply, address);
    }
  }

  /** One connection resolves, the others wait for it. */
  private async resolveOnce(request: ContentRequest): Promise<Content | undefined> {
    if (this.resolving) {
      await this.resolving.catch(() => {});
      return this.storage === undefined ? this.resolve(request) : undefined;
    }
    const work = this.resolve(request);
    this.resolving = work.finally(() => {
      this.resolving = undefined;
    });
    this.resolving.catch(() => {});
    return work;
  }

  private async resolve(request: ContentRequest): Promise<Content | undefined> {
    const { repo, revision } = this.model;
    const url = this.client.contentUrl(this.model, this.file.path);
    const asking = {
      repo,
      revision,
      file: this.file.path,
      headers: headersOf(request),
      signal: request.signal,
    };
    const { reply, url: at } = await this.client.ask(url, asking);
    try {
      this.checkAnswer(reply, at);
    } catch (error) {
      reply.discard();
      throw error;
    }
    if (reply.status < 300) return contentOf(reply, at);
    reply.discard();
    this.storage = new URL(reply.header("location") ?? "", at).href;
    return undefined;
  }

  /** The hub's own words about the file must agree with its file list (T6). */
  private checkAnswer(reply: HttpReply, url: string): void {
    if (reply.header("x-repo-commit") === undefined) throw this.client.notAHub(url);
    const etag = plainEtag(reply.header("x-linked-etag") ?? reply.header("etag"));
    if (etag === undefined) throw this.client.notAHub(url);
    const { sha256, oid, size, path } = this.file;
    const linkedSize = reply.header("x-linked-size");
    const otherHash = /^([0-9a-f]{64}|[0-9a-f]{40})$/.test(etag) && etag !== sha256 && etag !== oid;
    const otherSize = linkedSize !== undefined && Number(linkedSize) !== size;
    if (!otherHash && !otherSize) return;
    const found = otherSize ? `${linkedSize} bytes` : etag;
    const expected = otherSize ? `${size} bytes` : (sha256 ?? oid);
    throw new SourceError(
      "E_DOWNLOAD_OTHER",
      `${path}: expected ${expected}, but ${new URL(url).host} offers ${found}`,
      { hint: "The server holds another version than the commit's file list says; try another endpoint." },
    );
  }

  /** A refusal by the storage: expired addresses are resolved again. */
  private refused(reply: HttpReply, address: string): void {
    const { repo, revision } = this.model;
    if (![401, 403, 404, 410].includes(reply.status)) {
      const asked = {
        repo,
        revision,
        file: this.file.path,
        url: address,
        token: false,
        endpoint: this.client.endpoint,
      };
      throw explainStatus(reply, asked, this.deps.now());
    }
    if (this.storage === address) {
      this.storage = undefined;
      this.expiries++;
    }
    if (this.expiries <= MAX_EXPIRIES) return;
    throw new SourceError(
      "E_DOWNLOAD_REFUSED",
      `${this.file.path}: ${redactUrl(address)} keeps answering ${reply.status}, also with fresh addresses`,
      { hint: "Check the clock of this machine, and whether a proxy changes requests." },
    );
  }
}

/** A failure of a transfer, worth another try. */
export function transferFailure(message: string, cause?: unknown): TemporaryFailure {
  return new TemporaryFailure(
    new SourceError("E_DOWNLOAD_BROKEN", message, {
      hint: "Check the network and run the same command again: it continues where it was.",
      ...(cause === undefined ? {} : { cause }),
    }),
  );
}

function contentOf(reply: HttpReply, url: string): Content {
  const etag = reply.header("etag");
  const strong = etag !== undefined && !etag.startsWith("W/") ? etag : undefined;
  return { reply, host: new URL(url).host, etag: strong };
}

function headersOf({ range, etag }: ContentRequest): Record<string, string> {
  if (!range) return {};
  const headers = { range: `bytes=${range[0]}-${range[1] - 1}` };
  return etag === undefined ? headers : { ...headers, "if-range": etag };
}

function plainEtag(etag: string | undefined): string | undefined {
  return etag?.replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
}
