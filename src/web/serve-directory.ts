import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import send from "send";
import { UsageError } from "../core/errors.ts";
import { PACKAGE_ROOT } from "../core/package-root.ts";
import { HOST_HEADERS } from "./host-headers.ts";
import { openModelDirectory } from "./model-directory.ts";

export interface ServeOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string;
}

export interface ServedDirectory {
  /** Address of the page; the model's files lie beside it. */
  readonly url: string;
  /** Ends open connections and resolves when the port is free. */
  readonly close: () => Promise<void>;
}

const PAGE_FOLDER = join(PACKAGE_ROOT, "assets/web/");
/** The page's own files are kept apart from the model's. */
const PAGE_PREFIX = "/-/";
/** WebLLM appends `resolve/main/` to a model's address. */
const REVISION = /^\/resolve\/[^/]+(?=\/)/;

/**
 * Serves a converted model with the headers that a page of another origin needs, and a page that checks it.
 * @throws {CheckpointError} E_MODEL_DIRECTORY when the folder is no converted model
 * @throws {UsageError} E_SERVE when the port cannot be had
 */
export async function serveDirectory(folder: string, options: ServeOptions = {}): Promise<ServedDirectory> {
  await openModelDirectory(folder);
  const { port = 0, host = "127.0.0.1" } = options;
  const server = createServer((request, response) => answer(folder, request, response));
  await listen(server, port, host);
  const address = server.address() as AddressInfo;
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new UsageError("E_SERVE", `${host}:${port}: ${cause.message}`, {
          hint: "Name another --port.",
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
}

function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  for (const { name, value } of HOST_HEADERS) response.setHeader(name, value);
  if (request.method === "OPTIONS") {
    response.setHeader("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
    end(response, 204);
  } else if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD, OPTIONS");
    end(response, 405);
  } else sendFile(folder, request, response);
}

function sendFile(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? "/").split("?")[0]?.replace(REVISION, "") ?? "/";
  const isPage = path === "/" || path.startsWith(PAGE_PREFIX);
  const name = path === "/" ? "/index.html" : isPage ? path.slice(PAGE_PREFIX.length - 1) : path;
  if (isPage) response.setHeader("Content-Security-Policy", "default-src 'self'; img-src data:");
  send(request, name, { root: isPage ? PAGE_FOLDER : folder, index: false, dotfiles: "ignore", maxAge: 0 })
    .on("error", (error: { readonly status?: number }) => end(response, error.status ?? 500))
    .on("directory", () => end(response, 404))
    .pipe(response);
}

function end(response: ServerResponse, status: number): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status).end();
}
