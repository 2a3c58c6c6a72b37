import path from "node:path";
import { UsageError } from "../core/errors.ts";
import type { SourceDeps } from "./deps.ts";

/** The part of the outside that names come from. */
export type Surroundings = Pick<SourceDeps, "env" | "home" | "platform">;

export const OFFICIAL_ENDPOINT = "https://huggingface.co";

/** True for `1`, `ON`, `YES`, `TRUE` in any case (formats.md §11). */
export function isSwitchedOn(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}

/** True when the environment forbids the network. */
export function isOffline({ env }: Surroundings): boolean {
  return isSwitchedOn(env.HF_HUB_OFFLINE) || isSwitchedOn(env.TRANSFORMERS_OFFLINE);
}

/**
 * The hub's address, without a trailing slash.
 * @throws {UsageError} E_ENDPOINT unless https, or http on loopback
 */
export function endpointOf({ env }: Surroundings, explicit?: string): string {
  const text = (explicit ?? env.HF_ENDPOINT ?? "").trim().replace(/\/+$/, "") || OFFICIAL_ENDPOINT;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const allowed = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
  if (!url || !allowed || url.username !== "" || url.search !== "") {
    throw new UsageError("E_ENDPOINT", `the hub endpoint must be an https address, found ${hostOnly(text)}`, {
      hint: "Correct HF_ENDPOINT or --endpoint; plain http is accepted for this machine only.",
    });
  }
  return text;
}

/** True for the names and addresses of this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname);
}

/** How long to wait for the first sign of an answer, in milliseconds. */
export interface Patience {
  /** Of the hub: file lists, and where a file's content is. */
  readonly hubMs: number;
  /** Of the storage, for content. */
  readonly contentMs: number;
}

/**
 * `HF_HUB_ETAG_TIMEOUT` and `HF_HUB_DOWNLOAD_TIMEOUT`, in seconds; 10 each by default.
 * @throws {UsageError} E_TIMEOUT for anything but a positive number
 */
export function patienceOf({ env }: Pick<Surroundings, "env">): Patience {
  const millisecondsOf = (name: string): number => {
    const text = env[name];
    if (text === undefined || text === "") return 10_000;
    const seconds = Number(text);
    if (Number.isFinite(seconds) && seconds > 0) return seconds * 1000;
    throw new UsageError("E_TIMEOUT", `${name} must be a number of seconds above 0, found "${text}"`);
  };
  return {
    hubMs: millisecondsOf("HF_HUB_ETAG_TIMEOUT"),
    contentMs: millisecondsOf("HF_HUB_DOWNLOAD_TIMEOUT"),
  };
}

/** `MLC_TEMP_DIR`, if it is set; used only where it shares a volume with the destination. */
export function tempRoot(around: Surroundings): string | undefined {
  return around.env.MLC_TEMP_DIR ? expand(around.env.MLC_TEMP_DIR, around) : undefined;
}

/** Where converted models and our own downloads live: `MLC_LLM_HOME` and its defaults (acquisition.md §3). */
export function mlcHome({ env, home, platform }: Surroundings): string {
  if (env.MLC_LLM_HOME) return env.MLC_LLM_HOME;
  if (platform === "win32" && env.LOCALAPPDATA) return path.join(env.LOCALAPPDATA, "mlc_llm");
  return path.join(env.XDG_CACHE_HOME || path.join(home, ".cache"), "mlc_llm");
}

/** Roots that are searched first and never written, in order. */
export function readOnlyBases({ env, platform }: Surroundings): readonly string[] {
  const list = env.MLC_LLM_READONLY_WEIGHT_CACHE ?? "";
  return list.split(platform === "win32" ? ";" : ":").filter((entry) => entry !== "");
}

/** `HF_HOME` and its defaults. */
export function hfHome(around: Surroundings): string {
  const { env, home } = around;
  if (env.HF_HOME) return expand(env.HF_HOME, around);
  const cache = env.XDG_CACHE_HOME ? expand(env.XDG_CACHE_HOME, around) : path.join(home, ".cache");
  return path.join(cache, "huggingface");
}

/** The root of the Hugging Face hub cache (formats.md §11). */
export function hfCacheRoot(around: Surroundings): string {
  const named = around.env.HF_HUB_CACHE || around.env.HUGGINGFACE_HUB_CACHE;
  return named ? expand(named, around) : path.join(hfHome(around), "hub");
}

function expand(value: string, { env, home }: Surroundings): string {
  const tilde = value === "~" || value.startsWith("~/") ? home + value.slice(1) : value;
  return tilde.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, plain?: string) => {
    return env[braced ?? plain ?? ""] ?? whole;
  });
}

function hostOnly(text: string): string {
  return URL.canParse(text) ? `${new URL(text).protocol}//${new URL(text).host}` : JSON.stringify(text);
}
