/** What a run tells the outside while it goes on. Events flow outwards only; no room reads them. */
export type ConvertEvent =
  | { readonly type: "phase"; readonly phase: Phase }
  | { readonly type: "notice"; readonly message: string }
  /** Bytes of one file that are on this machine, and its size. */
  | { readonly type: "download"; readonly file: string; readonly bytes: number; readonly total: number }
  | {
      readonly type: "download-total";
      /** Bytes of all files that are on this machine, and their sizes. */
      readonly bytes: number;
      readonly totalBytes: number;
      readonly files: number;
      readonly totalFiles: number;
    }
  /** Something temporary went wrong and is tried again after `waitMs`. */
  | { readonly type: "retry"; readonly what: string; readonly reason: string; readonly waitMs: number }
  | {
      readonly type: "progress";
      /** Output bytes finished and expected. */
      readonly bytes: number;
      readonly totalBytes: number;
      readonly shards: number;
      readonly totalShards: number;
    }
  | { readonly type: "shard"; readonly path: string; readonly nbytes: number; readonly md5: string };

export type Phase = "resolve" | "download" | "plan" | "convert" | "write-index" | "verify" | "done";

/** Receives events synchronously; must not throw. */
export type OnEvent = (event: ConvertEvent) => void;
