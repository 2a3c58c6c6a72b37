import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { byteLength, type DType, elementCount } from "../src/core/dtype.ts";
import type { Layout } from "../src/core/layout.ts";
import { budgetOf, DEFAULT_MAX_MEMORY } from "../src/execute/budget.ts";
import { runShards } from "../src/execute/run-shards.ts";
import { listBackends } from "../src/native/addon.ts";
import { gatherOf } from "../src/plan/gather.ts";
import { piecesOf } from "../src/plan/pieces.ts";
import type { OutputTensor } from "../src/plan/plan.ts";
import { schemeOf } from "../src/plan/scheme.ts";
import { tempFolder } from "./support/temp-folder.ts";

/** Lines are hex in memory order; `w` is a matrix a row of the weight, `q` and `s` one a row as stored. */
interface Recorded {
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
  readonly w: readonly string[];
  readonly q: readonly string[];
  readonly s: readonly string[];
}

const { schemes } = JSON.parse(readFileSync(new URL("./golden/kernels.json", import.meta.url), "utf8")) as {
  readonly schemes: Readonly<Record<string, Recorded>>;
};
const BACKENDS = listBackends().flatMap(({ name, available }) => (available ? [name] : []));

function piecesIn(scheme: string, { dtype, rows, cols }: Recorded): readonly OutputTensor[] {
  const name = "w.weight";
  const shape = [rows, cols];
  const nbytes = byteLength(dtype, rows * cols) as number;
  const value = {
    shape,
    gather: gatherOf({ name, dtype, shape, file: 0, byteOffset: 0, nbytes }),
    transform: { kind: "none" },
    mustBeClose: [],
  } as const;
  const parameter = { name, kind: "linear", shape, value: { op: "source", name } } as const;
  return piecesOf({ parameter, value, sources: [name] }, schemeOf(scheme), { ftArch: 80 });
}

/** One file with everything, float32 scales as they are. */
function plainLayout(tensors: readonly OutputTensor[]): Layout {
  let byteOffset = 0;
  const placed = tensors.map(({ dtype, shape }, tensor) => {
    const nbytes = byteLength(dtype, elementCount(shape)) as number;
    byteOffset += nbytes;
    return { tensor, byteOffset: byteOffset - nbytes, nbytes };
  });
  const shard = { path: "out.bin", fileOffset: 0, nbytes: byteOffset, tensors: placed };
  return { shards: [shard], float32AsBfloat16: false, nbytes: byteOffset };
}

async function quantize(scheme: string, recorded: Recorded, backend: string): Promise<string> {
  const folder = await tempFolder();
  const path = join(folder, "w.bin");
  const weights = Buffer.from(recorded.w.join(""), "hex");
  await writeFile(path, weights);
  const tensors = piecesIn(scheme, recorded);
  const layout = plainLayout(tensors);
  await runShards(
    [
      {
        files: [{ path, name: "w.bin", size: weights.length }],
        tensors,
        layout,
        folder,
        finished: new Map(),
        onShard: () => undefined,
      },
    ],
    { backend, budget: budgetOf(1, DEFAULT_MAX_MEMORY), sync: false, map: true, measured: false },
    { onEvent: () => undefined },
  );
  return (await readFile(join(folder, "out.bin"))).toString("hex");
}

describe("rows with special values come out as recorded", () => {
  it("has recorded schemes", () => expect(Object.keys(schemes).length).toBe(7));
  for (const [scheme, recorded] of Object.entries(schemes)) {
    it.each(BACKENDS)(`${scheme} with %s`, async (backend) => {
      const expected = [...recorded.q, ...recorded.s].join("");
      expect(await quantize(scheme, recorded, backend)).toBe(expected);
    });
  }
});
