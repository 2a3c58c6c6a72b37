import { readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { isObject, type Json, toNumber } from "./json.ts";

/** A process that writes a file or holds a lock. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** What `pid` is a number in, where several containers share a host's name; Linux only. */
  readonly space?: string;
}

/** This process. */
export function thisProcess(): Owner {
  const space = pidSpace();
  return { host: hostname(), pid: process.pid, ...(space === undefined ? {} : { space }) };
}

/** `true`/`false` for a process that this one can see, `undefined` where only a heartbeat can tell. */
export function isAlive(owner: Owner): boolean | undefined {
  if (owner.host !== hostname() || owner.space !== pidSpace()) return undefined;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** An owner as it was written down, or `undefined` for anything else. */
export function parseOwner(json: Json | undefined): Owner | undefined {
  if (!isObject(json)) return undefined;
  const [host, pid, space] = [json.get("host"), toNumber(json.get("pid")), json.get("space")];
  if (typeof host !== "string" || pid === undefined) return undefined;
  return typeof space === "string" ? { host, pid, space } : { host, pid };
}

function pidSpace(): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}
