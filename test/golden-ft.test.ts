import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../src/checkpoint/open-checkpoint.ts";
import type { Checkpoint } from "../src/core/tensor-info.ts";
import { writeSyntheticCheckpoint } from "../src/demo/synthetic-checkpoint.ts";
import { writeOutput } from "../src/execute/write-output.ts";
import { listBackends } from "../src/native/addon.ts";
import { piecesOf } from "../src/plan/pieces.ts";
import type { Plan } from "../src/plan/plan.ts";
import { schemeOf } from "../src/plan/scheme.ts";
import { evaluate } from "../src/plan/value.ts";
import { layOut } from "../src/tensor-cache/layout.ts";
import { packFtCodes, undoFtLayout } from "./support/ft-layout.ts";
import { tempFolder } from "./support/temp-folder.ts";

interface Vector {
  readonly name: string;
  readonly shape: readonly [rows: number, cols: number];
  readonly packedMd5: string;
  readonly scaleMd5: string;
  readonly weightMd5: Readonly<Record<string, string>>;
}

const { vectors } = JSON.parse(readFileSync(new URL("./golden/ft.json", import.meta.url), "utf8")) as {
  readonly vectors: readonly Vector[];
};
const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** A plan of one linear weight. */
function planOf(vector: Vector, checkpoint: Checkpoint, ftArch: number): Plan {
  const { name, shape } = vector;
  const scheme = schemeOf("q4f16_ft");
  const parameter = { name, kind: "linear", shape, value: { op: "source", name } } as const;
  const value = evaluate(parameter.value, (source) => {
    const info = checkpoint.tensors.get(source);
    if (!info) throw new Error(`no tensor ${source}`);
    return info;
  });
  return {
    architecture: "none",
    scheme,
    sourceFormat: checkpoint.format,
    files: checkpoint.files,
    tensors: piecesOf({ parameter, value, sources: [name] }, scheme, { ftArch }),
    metadata: { paramSize: 2, paramBytes: 0, bitsPerParam: 0, sourceParameters: 0 },
    unused: [],
    notices: [],
  };
}

interface Made {
  readonly weight: Uint8Array;
  readonly scales: Uint8Array;
}

interface Attempt {
  readonly ftArch: number;
  readonly backend: string;
  readonly threads: number;
}

/** Runs one vector through plan, layout and engine. */
async function make(vector: Vector, { ftArch, backend, threads }: Attempt): Promise<Made> {
  const folder = await tempFolder();
  const { name, shape } = vector;
  await writeSyntheticCheckpoint(folder, {
    files: [{ name: "model.safetensors", tensors: [{ name, dtype: "F16", shape }] }],
  });
  const plan = planOf(vector, await openCheckpoint(folder, { sourceFormat: "auto" }), ftArch);
  const layout = layOut(plan.tensors);
  const target = join(folder, "out");
  await writeOutput(
    { plan, layout, target, version: "0", facts: {}, closingFiles: async () => [] },
    { backend, threads, sync: false },
    { onEvent: () => undefined },
  );
  const bytes = await readFile(join(target, "params_shard_0.bin"));
  const [weight, scales] = (layout.shards[0]?.tensors ?? []).map(({ byteOffset, nbytes }) =>
    bytes.subarray(byteOffset, byteOffset + nbytes),
  );
  if (!weight || !scales) throw new Error("expected a weight and its scales");
  return { weight, scales };
}

describe("q4f16_ft equals the published CUTLASS preprocessing", () => {
  it("has vectors", () => expect(vectors.length).toBeGreaterThan(0));
  for (const vector of vectors) {
    for (const [arch, expected] of Object.entries(vector.weightMd5)) {
      const [rows, cols] = vector.shape;
      it(`${vector.name} [${rows}, ${cols}] for sm${arch}, with ${BACKENDS.join(", ")}`, async () => {
        for (const [index, backend] of BACKENDS.entries()) {
          const attempt = { ftArch: Number(arch), backend, threads: 1 + (index % 2) };
          const { weight, scales } = await make(vector, attempt);
          expect(md5(weight), backend).toBe(expected);
          expect(md5(scales), backend).toBe(vector.scaleMd5);
        }
      });
    }
  }
});

describe("the layout can be undone by code that was written from its description", () => {
  for (const vector of vectors) {
    it.each([70, 75, 90])(
      `${vector.name} for sm%i: the codes before the layout come back`,
      async (ftArch) => {
        const [rows, cols] = vector.shape;
        const { weight } = await make(vector, { ftArch, backend: "auto", threads: 1 });
        const codes = undoFtLayout(weight, { rows, cols }, ftArch);
        expect(md5(packFtCodes(codes, { rows, cols }))).toBe(vector.packedMd5);
      },
    );
  }
});
