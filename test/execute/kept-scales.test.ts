import { describe, expect, it } from "vitest";
import type { Layout } from "../../src/core/layout.ts";
import { writeDemoModel } from "../../src/demo/demo-model.ts";
import { runShards } from "../../src/execute/run-shards.ts";
import { chooseBackend } from "../../src/native/addon.ts";
import { planConversion } from "../../src/plan-conversion.ts";
import type { PlannedConversion } from "../../src/plan-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const BACKEND = chooseBackend("auto");
const MIB = 2 ** 20;

async function plannedDemo(quantization: string): Promise<PlannedConversion> {
  const model = await tempFolder();
  await writeDemoModel(model);
  return planConversion({ model, quantization });
}

/** The same tensors, `each` of them a shard, so that words and their scales come apart. */
function cutUp({ shards, ...rest }: Layout, each: number): Layout {
  const placed = shards.flatMap(({ tensors }) => tensors);
  const groups = Array.from({ length: Math.ceil(placed.length / each) }, (_, at) =>
    placed.slice(at * each, (at + 1) * each),
  );
  const cut = groups.map((tensors) => {
    const nbytes = tensors.reduce((sum, tensor) => sum + tensor.nbytes, 0);
    return { path: "", fileOffset: 0, nbytes, tensors };
  });
  return { ...rest, shards: cut };
}

interface Limits {
  readonly keptBytes: number;
  readonly threads: number;
  /** Lanes that make a chunk while another is hashed. */
  readonly ahead?: number;
  /** Shards that are not made. */
  readonly skip?: (shard: number) => boolean;
}

/** The MD5 of every shard; nothing is written. */
async function hashesOf(
  { plan, layout }: PlannedConversion,
  { keptBytes, threads, ahead = 0, skip = () => false }: Limits,
): Promise<ReadonlyMap<number, string>> {
  const input = { files: plan.files, tensors: plan.tensors, layout, folder: "", finished: new Map(), skip };
  const budget = { threads, lanes: 3, ahead, tileBytes: 4096, keptBytes };
  const { results } = await runShards(
    [{ ...input, onShard: () => {} }],
    { backend: BACKEND, budget, sync: false, map: true, measured: false },
    { onEvent: () => {} },
  );
  return new Map([...(results[0] ?? [])].map(([shard, { md5 }]) => [shard, md5]));
}

describe("scales that are made with words in another shard", () => {
  it.each(["q4f16_1", "q4f16_0", "q4f32_1", "q3f16_1", "e4m3_e4m3_f16"])(
    "are the same of %s, kept or made by a second look",
    async (quantization) => {
      const whole = await plannedDemo(quantization);
      for (const each of [1, 3]) {
        const planned = { ...whole, layout: cutUp(whole.layout, each) };
        const expected = await hashesOf(planned, { keptBytes: 0, threads: 1 });
        expect(expected.size).toBe(planned.layout.shards.length);
        expect(expected.size).toBeGreaterThan(each === 1 ? 25 : 8);
        for (const keptBytes of [5000, 50_000, 64 * MIB]) {
          for (const [threads, ahead] of [
            [1, 0],
            [3, 0],
            [2, 1],
            [3, 3],
          ] as const) {
            expect(await hashesOf(planned, { keptBytes, threads, ahead })).toEqual(expected);
          }
        }
      }
    },
  );

  it("are made where an earlier run has finished the words, or an only shard is wanted", async () => {
    const whole = await plannedDemo("q4f16_1");
    const planned = { ...whole, layout: cutUp(whole.layout, 1) };
    const all = await hashesOf(planned, { keptBytes: MIB, threads: 2, ahead: 1 });
    const isWords = (shard: number): boolean => {
      const tensor = planned.layout.shards[shard]?.tensors[0]?.tensor ?? 0;
      return planned.plan.tensors[tensor]?.encoding.kind === "group-words";
    };
    const some = await hashesOf(planned, { keptBytes: MIB, threads: 2, skip: isWords });
    expect(some.size).toBeGreaterThan(10);
    for (const [shard, md5] of some) expect(md5).toBe(all.get(shard));
  });
});
