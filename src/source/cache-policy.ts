import { UsageError } from "../core/errors.ts";

/** What may be done with caches (acquisition.md §5). */
export type CachePolicy = "ON" | "OFF" | "REDO" | "READONLY";

/** How much of the writable entry is there. */
export type EntryState = "complete" | "incomplete" | "absent";

/** What to do about a model, before anything is touched. */
export type CacheDecision =
  | { readonly use: "read-only"; readonly redoIgnored: boolean }
  | { readonly use: "writable" }
  /** Fetch what is missing; nothing is there, or part of it. */
  | { readonly use: "download"; readonly repair: boolean }
  /** Fetch everything beside the old entry, then swap. */
  | { readonly use: "replace" }
  | { readonly use: "refuse"; readonly state: "incomplete" | "absent" };

export interface CacheQuestion {
  readonly policy: CachePolicy;
  /** `true` redoes, `false` never redoes, `undefined` lets the policy say. */
  readonly forceRedo: boolean | undefined;
  /** A complete entry lies in a read-only cache. */
  readonly readOnly: boolean;
  readonly writable: EntryState;
}

const POLICIES: readonly CachePolicy[] = ["ON", "OFF", "REDO", "READONLY"];

/**
 * Reads the policy from the option or from `MLC_DOWNLOAD_CACHE_POLICY`, in any case.
 * @throws {UsageError} E_CACHE_POLICY
 */
export function parseCachePolicy(option: string | undefined, variable: string | undefined): CachePolicy {
  const text = option ?? (variable || "ON");
  const policy = POLICIES.find((name) => name === text.toUpperCase());
  if (policy !== undefined) return policy;
  const where = option === undefined ? "MLC_DOWNLOAD_CACHE_POLICY" : "--cache-policy";
  throw new UsageError("E_CACHE_POLICY", `${where} must be ON, OFF, REDO or READONLY, found "${text}"`);
}

/** True when the policy allows no download at all. */
export function forbidsDownload(policy: CachePolicy): boolean {
  return policy === "OFF" || policy === "READONLY";
}

/**
 * Refuses a forced redo where nothing may be fetched. Touches nothing.
 * @throws {UsageError} E_REDO_CONTRADICTION
 */
export function checkRedo(policy: CachePolicy, forceRedo: boolean | undefined, localOnly: boolean): void {
  if (forceRedo !== true || !(forbidsDownload(policy) || localOnly)) return;
  const other = forbidsDownload(policy) ? `the cache policy ${policy}` : "local files only";
  throw new UsageError("E_REDO_CONTRADICTION", `a forced download contradicts ${other}`, {
    hint: "Drop one of the two.",
  });
}

/** The truth table of the policies (acquisition.md §5). Call {@link checkRedo} first. */
export function decide({ policy, forceRedo, readOnly, writable }: CacheQuestion): CacheDecision {
  const redo = forceRedo ?? policy === "REDO";
  if (readOnly) return { use: "read-only", redoIgnored: redo };
  if (forbidsDownload(policy)) {
    return writable === "complete" ? { use: "writable" } : { use: "refuse", state: writable };
  }
  if (redo) return writable === "absent" ? { use: "download", repair: false } : { use: "replace" };
  return writable === "complete"
    ? { use: "writable" }
    : { use: "download", repair: writable === "incomplete" };
}
