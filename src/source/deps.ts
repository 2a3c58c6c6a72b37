import type { ConvertEvent } from "../core/events.ts";
import type { Http } from "./http.ts";

/** The outside world as this room sees it; nothing global is read besides. */
export interface SourceDeps {
  readonly http: Http;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder, for default cache places. */
  readonly home: string;
  readonly platform: string;
  readonly onEvent: (event: ConvertEvent) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Free bytes on the volume of a folder; default asks the system. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}
