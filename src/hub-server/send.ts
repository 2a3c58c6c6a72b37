import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Misbehaviour } from "./faults.ts";
import { type HubFile, lfsPointer, openContent } from "./repository.ts";

/** How fast all bodies together leave, for trying out adaptive clients. */
export interface Bandwidth {
  readonly bytesPerSecond: number;
  /** Share of the whole that every connection beyond the first costs, 0 to 1. */
  readonly penaltyPerConnection: number;
}

/** What one answer needs to know besides the file. */
export interface Sending {
  readonly etag: string;
  readonly fault: Misbehaviour | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly pace: (nbytes: number) => Promise<void>;
  /** Bytes that leave at once; fewer where they are paced, so that time passes evenly. */
  readonly step?: number;
  readonly sent: (nbytes: number) => void;
}

const STEP = 256 * 1024;

/** Answers GET or HEAD for a file's content, with ranges, `If-Range`, and the fault asked for. */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: HubFile,
  sending: Sending,
): Promise<void> {
  const { fault } = sending;
  const etag = fault?.kind === "etag" ? fault.etag : sending.etag;
  const served = fault?.kind === "pointer" ? pointerOf(file) : file;
  const range = rangeOf(request, served.size, etag);
  if (range === "unsatisfiable") {
    response.writeHead(416, { "Content-Range": `bytes */${served.size}` }).end();
    return;
  }
  const partial = range !== undefined && fault?.kind !== "ignore-range";
  const [start, end] = partial ? range : [0, served.size];
  const headers: Record<string, string> = {
    ...sending.headers,
    ETag: `"${etag}"`,
    "Accept-Ranges": "bytes",
    "Content-Length": String(end - start),
    "Content-Type": "application/octet-stream",
  };
  if (partial) Object.assign(headers, contentRange(start, end, served.size, fault));
  response.writeHead(partial ? 206 : 200, headers);
  if (request.method === "HEAD") response.end();
  else await sendBody(response, served, { start, end, sending });
}

interface Body {
  readonly start: number;
  readonly end: number;
  readonly sending: Sending;
}

async function sendBody(response: ServerResponse, file: HubFile, body: Body): Promise<void> {
  const { fault, pace, sent, step: usual = STEP } = body.sending;
  const limit = limitOf(fault, body.end - body.start);
  const reader = await openContent(file.content);
  response.flushHeaders();
  try {
    for (let at = body.start; at < body.start + limit; ) {
      const step = fault?.kind === "drip" ? Math.ceil(fault.bytesPerSecond / 4) : usual;
      const chunk = await reader.read(at, Math.min(step, body.start + limit - at));
      if (fault?.kind === "wrong-bytes") chunk[0] = (chunk[0] ?? 0) ^ 0xff;
      await pace(chunk.byteLength);
      if (response.destroyed) return;
      at += chunk.byteLength;
      sent(chunk.byteLength);
      if (!response.write(chunk)) await drained(response);
      if (fault?.kind === "drip") await sleep(250, undefined, { ref: false });
    }
  } finally {
    await reader.close();
  }
  if (fault?.kind === "stall") return;
  if (limit < body.end - body.start) response.destroy();
  else response.end();
}

function limitOf(fault: Misbehaviour | undefined, nbytes: number): number {
  if (fault?.kind === "stall" || fault?.kind === "cut") return Math.min(fault.afterBytes, nbytes);
  if (fault?.kind === "content-range" && fault.wrong === "short") return Math.floor(nbytes / 2);
  return nbytes;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.once("drain", done).once("close", done);
  });
}

function pointerOf(file: HubFile): HubFile {
  const content = Buffer.from(lfsPointer(file.sha256 ?? "0".repeat(64), file.size));
  return { ...file, size: content.byteLength, content };
}

function rangeOf(
  request: IncomingMessage,
  size: number,
  etag: string,
): [number, number] | "unsatisfiable" | undefined {
  const condition = request.headers["if-range"];
  if (condition !== undefined && condition !== `"${etag}"`) return undefined;
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (!match) return undefined;
  const start = Number(match[1]);
  const end = match[2] === "" ? size : Math.min(Number(match[2]) + 1, size);
  return start >= size ? "unsatisfiable" : [start, end];
}

function contentRange(
  start: number,
  end: number,
  size: number,
  fault: Misbehaviour | undefined,
): Record<string, string> {
  const wrong = fault?.kind === "content-range" ? fault.wrong : undefined;
  if (wrong === "missing") return {};
  const from = wrong === "start" ? start + 1 : start;
  return { "Content-Range": `bytes ${from}-${end - 1}/${wrong === "total" ? size + 1 : size}` };
}
