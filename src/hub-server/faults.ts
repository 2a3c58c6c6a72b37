/** Which door of the hub a request comes through. */
export type HubDoor = "api" | "resolve" | "store";

/** One way of misbehaving. `afterBytes` counts bytes of the body that are sent first. */
export type Misbehaviour =
  | { readonly kind: "stall"; readonly afterBytes: number }
  /** Takes the request and answers nothing at all. */
  | { readonly kind: "silent" }
  | { readonly kind: "cut"; readonly afterBytes: number }
  | { readonly kind: "drip"; readonly bytesPerSecond: number }
  | { readonly kind: "ignore-range" }
  | { readonly kind: "content-range"; readonly wrong: "start" | "total" | "missing" | "short" }
  | { readonly kind: "etag"; readonly etag: string }
  | { readonly kind: "wrong-bytes" }
  | { readonly kind: "pointer" }
  | { readonly kind: "expired" }
  | { readonly kind: "not-a-hub" }
  | { readonly kind: "redirect-loop" }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** A misbehaviour, where it strikes and how often. */
export interface Fault {
  readonly door: HubDoor;
  /** Part of the file's path or of the address; absent for all. */
  readonly match?: string;
  /** Requests it strikes; default 1. */
  times?: number;
  /** Requests that pass unharmed first; default 0. */
  skip?: number;
  readonly does: Misbehaviour;
}

/** Takes the first fault that strikes this request, and counts it. */
export function takeFault(faults: readonly Fault[], door: HubDoor, target: string): Misbehaviour | undefined {
  for (const fault of faults) {
    const left = fault.times ?? 1;
    if (fault.door !== door || left <= 0 || !target.includes(fault.match ?? "")) continue;
    if ((fault.skip ?? 0) > 0) {
      fault.skip = (fault.skip ?? 0) - 1;
      continue;
    }
    fault.times = left - 1;
    return fault.does;
  }
  return undefined;
}
