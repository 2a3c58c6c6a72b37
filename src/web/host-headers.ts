/** What a static host must send so that a page of another origin can load a model. */
export interface HostHeader {
  readonly name: string;
  readonly value: string;
  /** One sentence. */
  readonly why: string;
}

export const HOST_HEADERS: readonly HostHeader[] = [
  {
    name: "Access-Control-Allow-Origin",
    value: "*",
    why: "A page of another origin may read the files.",
  },
  {
    name: "Access-Control-Allow-Headers",
    value: "Range",
    why: "Such a page may ask for a part of a file.",
  },
  {
    name: "Access-Control-Expose-Headers",
    value: "Accept-Ranges, Content-Length, Content-Range, ETag",
    why: "Such a page may see sizes and ranges, which progress and resuming need.",
  },
  {
    name: "Cross-Origin-Resource-Policy",
    value: "cross-origin",
    why: "An isolated page (one that uses shared memory) may load the files.",
  },
  {
    name: "X-Content-Type-Options",
    value: "nosniff",
    why: "Nobody takes weights for something to run.",
  },
];

/** Rules that are no header. */
export const HOST_RULES: readonly string[] = [
  "Answer range requests with 206 and Accept-Ranges: bytes.",
  "Serve the files below <model>/resolve/main/ too: WebLLM appends that to every model address without /resolve/.",
  "Answer OPTIONS with 204 and the headers above.",
  "Do not compress shards on the fly: a Content-Length is needed for progress.",
];
