import { Agent, EnvHttpProxyAgent, request as undiciRequest } from "undici";
import { patienceOf } from "./environment.ts";

/** One request. Redirects are never followed. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** To the first header; default that of {@link openHttp}. */
  readonly timeoutMs?: number;
}

/** One answer; the body must be read to its end or discarded. */
export interface HttpReply {
  readonly status: number;
  /** A header's value by lower-case name. */
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the connection up. */
  discard(): void;
}

/** How this room reaches the network. */
export type Http = (request: HttpRequest) => Promise<HttpReply>;

export interface HttpOptions {
  /** Environment with `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` in either case. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly userAgent: string;
  /** To connect, and to the first header; default what the environment says, else 10 s. */
  readonly timeoutMs?: number;
}

/** An open door to the network: call `close` when done. */
export interface OpenHttp {
  readonly http: Http;
  close(): Promise<void>;
}

/**
 * Opens a client that speaks HTTP/1.1 only, so that every range has a connection of its own, and goes
 * through the environment's proxies. Bodies have no time limit here; stalls are the reader's business.
 * @throws {UsageError} E_TIMEOUT
 */
export function openHttp({ env, userAgent, ...options }: HttpOptions): OpenHttp {
  const { hubMs, contentMs } = patienceOf({ env });
  const timeoutMs = options.timeoutMs ?? Math.max(hubMs, contentMs);
  const common = {
    connect: { timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: 0,
    pipelining: 1,
  };
  const httpProxy = env.http_proxy || env.HTTP_PROXY;
  const httpsProxy = env.https_proxy || env.HTTPS_PROXY;
  const noProxy = env.no_proxy ?? env.NO_PROXY;
  const dispatcher =
    httpProxy || httpsProxy
      ? new EnvHttpProxyAgent({
          ...common,
          httpProxy: httpProxy ?? "",
          httpsProxy: httpsProxy || httpProxy || "",
          noProxy: noProxy ?? "",
        })
      : new Agent(common);
  const http: Http = async ({ method, url, headers, signal, timeoutMs: own }) => {
    const reply = await undiciRequest(url, {
      method,
      dispatcher,
      headers: { "user-agent": userAgent, "accept-encoding": "identity", ...headers },
      ...(signal ? { signal } : {}),
      ...(own === undefined ? {} : { headersTimeout: own }),
    });
    reply.body.on("error", () => {});
    return {
      status: reply.statusCode,
      header: (name) => {
        const value = reply.headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      },
      body: reply.body,
      discard: () => reply.body.destroy(),
    };
  };
  return { http, close: () => dispatcher.destroy() };
}
