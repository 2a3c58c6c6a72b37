import { InvalidArgumentError } from "commander";

/** A whole number of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError("expected a whole number of at least 1.");
  return value;
}

/** A whole number of at least 0. */
export function wholeNumber(text: string): number {
  if (text === "0") return 0;
  return positiveInteger(text);
}

/** One more value of an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** A number of bytes such as `128M` or `2G`. */
export function byteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?$/i.exec(text);
  if (!match) throw new InvalidArgumentError("expected a size such as 128M or 2G.");
  return Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toUpperCase()] ?? 1));
}

/** A range of shard numbers such as `3-7`. */
export function shardRange(text: string): readonly [first: number, last: number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? first);
  if (!match || first > last) throw new InvalidArgumentError("expected shard numbers such as 0-3 or 5.");
  return [first, last];
}

/** A whole number, negative ones included. */
export function integer(text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value)) throw new InvalidArgumentError("expected a whole number.");
  return value;
}

/** A device such as `cpu` or `cuda:0`. */
export function deviceName(text: string): string {
  if (!/^(?:cpu|auto|cuda(?::\d{1,4})?)$/.test(text))
    throw new InvalidArgumentError("expected cpu, auto, cuda or cuda:N.");
  return text;
}

/** `true` or `false`, also as `on` and `off`, `yes` and `no`, `1` and `0`. */
export function truth(text: string): boolean {
  if (/^(true|on|yes|1)$/i.test(text)) return true;
  if (/^(false|off|no|0)$/i.test(text)) return false;
  throw new InvalidArgumentError("expected true or false.");
}
