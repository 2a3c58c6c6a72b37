import os from "node:os";
import type { ConvertEvent } from "../core/events.ts";
import type { SourceDeps } from "../index.ts";
import { formatBytes } from "./units.ts";

/** What a command reads from and writes to; tests bring their own. */
export interface Outside {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly platform: NodeJS.Platform;
  /** Results, for programs to read. */
  readonly print: (text: string) => void;
  /** Everything else, for people. */
  readonly note: (text: string) => void;
}

/** This process. */
export function thisProcess(): Outside {
  return {
    env: process.env,
    home: os.homedir(),
    platform: process.platform,
    print: (text) => process.stdout.write(`${text}\n`),
    note: (text) => process.stderr.write(`${text}\n`),
  };
}

/** Opens what acquisition needs, and closes it when the work is done; Ctrl-C interrupts resumably. */
export async function withSource<T>(outside: Outside, work: (deps: SourceDeps) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt);
  const { openHttp } = await import("../index.ts");
  const { http, close } = openHttp({ env: outside.env, userAgent: "mlc-convert" });
  const { env, home, platform } = outside;
  const onEvent = tellEvents(outside);
  try {
    return await work({ http, env, home, platform, onEvent, now: Date.now, signal: stop.signal });
  } finally {
    process.off("SIGINT", interrupt);
    await close();
  }
}

/** One line for every tenth of a download and for everything out of the ordinary. */
function tellEvents({ note }: Outside): (event: ConvertEvent) => void {
  let tenth = -1;
  return (event) => {
    if (event.type === "notice") note(event.message);
    if (event.type === "retry")
      note(`${event.what}: ${event.reason}; trying again in ${Math.ceil(event.waitMs / 1000)} s`);
    if (event.type !== "download-total" || event.totalBytes === 0) return;
    const now = Math.floor((event.bytes / event.totalBytes) * 10);
    if (now === tenth) return;
    tenth = now;
    const share = `${formatBytes(event.bytes)} of ${formatBytes(event.totalBytes)}`;
    note(`${share}, ${event.files} of ${event.totalFiles} files`);
  };
}
