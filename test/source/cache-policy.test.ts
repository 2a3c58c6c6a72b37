import { describe, expect, test } from "vitest";
import {
  type CachePolicy,
  checkRedo,
  decide,
  type EntryState,
  parseCachePolicy,
} from "../../src/source/cache-policy.ts";

const readOnly = (redoIgnored = false) => ({ use: "read-only", redoIgnored });
const writable = { use: "writable" };
const replace = { use: "replace" };
const download = (repair: boolean) => ({ use: "download", repair });
const refuse = (state: string) => ({ use: "refuse", state });
type Row = [CachePolicy, boolean | undefined, boolean, EntryState, object];

const states: EntryState[] = ["complete", "incomplete", "absent"];
const withReadOnly: Row[] = states.flatMap((state): Row[] => [
  ["ON", undefined, true, state, readOnly()],
  ["OFF", undefined, true, state, readOnly()],
  ["REDO", undefined, true, state, readOnly(true)],
  ["READONLY", undefined, true, state, readOnly()],
  ["ON", true, true, state, readOnly(true)],
  ["REDO", true, true, state, readOnly(true)],
  ["REDO", false, true, state, readOnly()],
]);
const table: Row[] = [
  ...withReadOnly,
  ["ON", undefined, false, "complete", writable],
  ["ON", undefined, false, "incomplete", download(true)],
  ["ON", undefined, false, "absent", download(false)],
  ["OFF", undefined, false, "complete", writable],
  ["OFF", undefined, false, "incomplete", refuse("incomplete")],
  ["OFF", undefined, false, "absent", refuse("absent")],
  ["REDO", undefined, false, "complete", replace],
  ["REDO", undefined, false, "incomplete", replace],
  ["REDO", undefined, false, "absent", download(false)],
  ["READONLY", undefined, false, "complete", writable],
  ["READONLY", undefined, false, "incomplete", refuse("incomplete")],
  ["READONLY", undefined, false, "absent", refuse("absent")],
  ["ON", true, false, "complete", replace],
  ["ON", true, false, "incomplete", replace],
  ["ON", true, false, "absent", download(false)],
  ["REDO", true, false, "complete", replace],
  ["REDO", false, false, "complete", writable],
  ["REDO", false, false, "incomplete", download(true)],
  ["REDO", false, false, "absent", download(false)],
];

describe("the truth table of the policies", () => {
  test.each(table)(
    "%s, redo %s, read-only hit %s, writable %s",
    (policy, forceRedo, hit, state, expected) => {
      expect(decide({ policy, forceRedo, readOnly: hit, writable: state })).toEqual(expected);
    },
  );
});

test.each(["OFF", "READONLY"] as const)("a forced redo contradicts %s", (policy) => {
  expect(() => checkRedo(policy, true, false)).toThrow(
    expect.objectContaining({ code: "E_REDO_CONTRADICTION" }),
  );
  expect(() => checkRedo(policy, false, false)).not.toThrow();
});

test("a forced redo contradicts local files only", () => {
  expect(() => checkRedo("ON", true, true)).toThrow(
    expect.objectContaining({ code: "E_REDO_CONTRADICTION" }),
  );
  expect(() => checkRedo("ON", true, false)).not.toThrow();
});

test("the policy is read in any case, the option before the variable, and names what is wrong", () => {
  expect(parseCachePolicy(undefined, undefined)).toBe("ON");
  expect(parseCachePolicy(undefined, "")).toBe("ON");
  expect(parseCachePolicy(undefined, "readonly")).toBe("READONLY");
  expect(parseCachePolicy("Redo", "OFF")).toBe("REDO");
  expect(() => parseCachePolicy(undefined, "yes")).toThrow(/MLC_DOWNLOAD_CACHE_POLICY.*"yes"/);
  expect(() => parseCachePolicy("yes", "ON")).toThrow(/--cache-policy/);
});
