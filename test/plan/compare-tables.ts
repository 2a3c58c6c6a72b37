import { expect } from "vitest";
import type { Architecture, DerivedConfig } from "../../src/plan/architecture.ts";
import type { Parameter } from "../../src/plan/parameter.ts";
import { sourceNames } from "../../src/plan/table.ts";
import { type Expected, expectedParameters, expectedUnused } from "./reference-tables.ts";

const KINDS: Readonly<Record<string, string>> = {
  lin: "linear",
  emb: "embedding",
  exp: "experts",
  bias: "bias",
  norm: "norm",
  raw: "raw",
};

function summary(one: Parameter): Omit<Expected, "verb"> {
  return {
    name: one.name,
    kind: one.kind,
    shape: one.shape,
    dtype: one.dtype,
    noQuant: one.noQuant ?? false,
    sources: [...new Set(sourceNames(one.value))],
    shard: one.shard,
  };
}

/**
 * Expects the table of an architecture to be upstream's for a config.
 * @param what of the config, for messages
 * @returns how many parameters there are
 */
export function compareTables(architecture: Architecture, config: DerivedConfig, what = ""): number {
  const ours = new Map(architecture.parameters(config).map((one) => [one.name, summary(one)]));
  const theirs = expectedParameters(architecture.key, config);
  expect([...ours.keys()].sort(), what).toEqual(theirs.map((one) => one.name).sort());
  for (const { verb: _, ...wanted } of theirs) {
    expect(ours.get(wanted.name), what).toEqual({ ...wanted, kind: KINDS[wanted.kind] });
  }
  expect([...architecture.unused(config)].sort(), what).toEqual(
    [...expectedUnused(architecture.key, config)].sort(),
  );
  return theirs.length;
}
