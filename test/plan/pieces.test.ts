import { describe, expect, it } from "vitest";
import { PlanError } from "../../src/core/errors.ts";
import { gatherOf } from "../../src/plan/gather.ts";
import type { Parameter } from "../../src/plan/parameter.ts";
import { piecesOf } from "../../src/plan/pieces.ts";
import { checkPresharding } from "../../src/plan/presharding.ts";
import { schemeOf } from "../../src/plan/scheme.ts";

const FT = schemeOf("q4f16_ft");

function linear(module: string, shape: readonly [number, number], more: Partial<Parameter> = {}): Parameter {
  const name = `${module}.weight`;
  return { name, kind: "linear", shape, value: { op: "source", name }, ...more };
}

/** What q4f16_ft makes of a parameter: `[name, encoding]` of every piece. */
function piecesIn(parameter: Parameter, ftArch = 80): readonly (readonly [string, string])[] {
  const shape = parameter.shape as readonly number[];
  const info = { name: parameter.name, dtype: "float16", shape, file: 0, byteOffset: 0, nbytes: 0 } as const;
  const value = { shape, gather: gatherOf(info), transform: { kind: "none" }, mustBeClose: [] } as const;
  const pieces = piecesOf({ parameter, value, sources: [parameter.name] }, FT, { ftArch });
  return pieces.map(({ name, encoding }) => [name, encoding.kind]);
}

const groups = (module: string) => [
  [`${module}.q_weight`, "group-words"],
  [`${module}.q_scale`, "group-scales"],
];

describe("q4f16_ft", () => {
  it("lays out linear layers", () => {
    expect(piecesIn(linear("layers.0.mlp.down_proj", [64, 128]))).toEqual([
      ["layers.0.mlp.down_proj.q_weight", "ft-words"],
      ["layers.0.mlp.down_proj.q_scale", "ft-scales"],
    ]);
  });

  it("keeps a gate whose rows the layout could take unquantized (E6)", () => {
    expect(piecesIn(linear("layers.0.mlp.gate", [8, 96]))).toEqual([["layers.0.mlp.gate.weight", "raw"]]);
    expect(piecesIn(linear("layers.0.mlp.gate", [256, 96]))).toEqual([["layers.0.mlp.gate.weight", "raw"]]);
  });

  it("quantizes any other gate by groups (E7)", () => {
    expect(piecesIn(linear("layers.0.mlp.gate", [4, 96]))).toEqual(groups("layers.0.mlp.gate"));
    const wide = linear("layers.0.mlp.gate", [64, 128], { float32Output: true });
    expect(piecesIn(wide)).toEqual(groups("layers.0.mlp.gate"));
  });

  it("lays out a gate of more than 256 rows like any linear layer", () => {
    expect(piecesIn(linear("layers.0.mlp.gate", [320, 64])).map(([, kind]) => kind)).toEqual([
      "ft-words",
      "ft-scales",
    ]);
  });

  it("quantizes final layers and odd widths by groups", () => {
    expect(piecesIn(linear("lm_head", [128, 64]))).toEqual(groups("lm_head"));
    expect(piecesIn(linear("layers.0.mlp.up_proj", [100, 64]))).toEqual(groups("layers.0.mlp.up_proj"));
  });

  it("refuses what the layout of sm75 and later cannot hold, and takes it for Volta", () => {
    const narrow = linear("layers.0.mlp.up_proj", [72, 64]);
    expect(() => piecesIn(narrow, 75)).toThrow(PlanError);
    expect(piecesIn(narrow, 70)[0]).toEqual(["layers.0.mlp.up_proj.q_weight", "ft-words"]);
  });

  it("refuses to be cut for several workers", () => {
    expect(() => checkPresharding([], FT, 2)).toThrow(/q4f16_ft does not support pre-sharding/);
    expect(() => checkPresharding([], FT, 1)).not.toThrow();
  });
});
