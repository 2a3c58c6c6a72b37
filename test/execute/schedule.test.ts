import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { llamaCheckpoint } from "../../src/demo/demo-model.ts";
import { type ScheduledShard, schedule } from "../../src/execute/schedule.ts";
import { planConversion } from "../../src/plan-conversion.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** A 1.5 GB checkpoint that takes no room: planning reads its header only. */
async function sparseModel(): Promise<string> {
  const sizes = { hiddenSize: 2048, intermediateSize: 8192, heads: 32, keyValueHeads: 8, headDim: 64 };
  const { files, config } = llamaCheckpoint({ ...sizes, layers: 10, vocabSize: 64000 });
  const header: Record<string, unknown> = {};
  let size = 0;
  for (const { name, dtype, shape } of files[0]?.tensors ?? []) {
    const nbytes = shape.reduce((product, extent) => product * extent, 2);
    header[name] = { dtype, shape, data_offsets: [size, size + nbytes] };
    size += nbytes;
  }
  const folder = await tempFolder();
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const file = await open(join(folder, "model.safetensors"), "w");
  await file.write(Buffer.concat([length, text]));
  await file.truncate(8 + text.length + size);
  await file.close();
  return folder;
}

async function shardsOf(model: string, quantizations: readonly string[]): Promise<readonly ScheduledShard[]> {
  const outputs = await Promise.all(
    quantizations.map((quantization) => planConversion({ model, quantization })),
  );
  return outputs.flatMap(({ plan, layout }, output) =>
    layout.shards.map((shard, index) => ({ output, index, shard, tensors: plan.tensors, sources: [0] })),
  );
}

/** Source tensors of a shard, by where they begin, and their bytes. */
function sourcesOf({ shard, tensors }: ScheduledShard): ReadonlyMap<number, number> {
  const blocks = shard.tensors.flatMap(({ tensor }) => tensors[tensor]?.value.gather.blocks ?? []);
  return new Map(
    blocks.map(({ tensor }) => [
      tensor.byteOffset,
      tensor.shape.reduce((product, extent) => product * extent, 2),
    ]),
  );
}

/** The most source bytes that pass between the first and the last use of one tensor. */
function longestWait(order: readonly ScheduledShard[]): number {
  const uses = new Map<number, number[]>();
  order.forEach((one, at) => {
    for (const place of sourcesOf(one).keys()) uses.set(place, [...(uses.get(place) ?? []), at]);
  });
  const waits = [...uses.values()].map((at) => {
    const passing = order.slice(Math.min(...at), Math.max(...at) + 1).map(sourcesOf);
    return [...new Map(passing.flatMap((sources) => [...sources])).values()].reduce(
      (sum, size) => sum + size,
      0,
    );
  });
  return Math.max(...waits);
}

describe("the schedule of several outputs", () => {
  it("brings what is made from the same weights together, so that the source passes once", async () => {
    const shards = await shardsOf(await sparseModel(), ["q4f16_1", "q4f32_1", "q0f16"]);
    const whole = [...new Map(shards.flatMap((one) => [...sourcesOf(one)])).values()];
    const bytes = whole.reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeGreaterThan(1.4e9);
    expect(longestWait(shards)).toBeGreaterThan(0.9 * bytes);
    expect(longestWait(schedule(shards).shards)).toBeLessThan(0.5 * bytes);
    expect(new Set(schedule(shards).shards)).toEqual(new Set(shards));
  });
});

/** The shards in which the words and the scales of each pair lie. */
function pairsOf(shards: readonly ScheduledShard[]): readonly (readonly [ScheduledShard, ScheduledShard])[] {
  const { pairs } = schedule(shards);
  const found = new Map<number, ScheduledShard[]>();
  for (const one of shards) {
    for (const placed of one.shard.tensors) {
      const number = pairs.get(placed);
      if (number !== undefined) found.set(number, [...(found.get(number) ?? []), one]);
    }
  }
  return [...found.values()].map(([words, scales, ...others]) => {
    expect(others).toEqual([]);
    return [words as ScheduledShard, scales as ScheduledShard];
  });
}

describe("the schedule of one output", () => {
  it("begins with the longest shards", async () => {
    const { shards } = schedule(await shardsOf(await sparseModel(), ["q0f16"]));
    const lengths = shards.map(({ shard }) => shard.nbytes);
    expect(lengths).toEqual([...lengths].sort((a, b) => b - a));
  });

  it("pairs the words with the scales made with them, in whichever shard they are", async () => {
    const shards = await shardsOf(await sparseModel(), ["q4f16_1"]);
    const scales = shards.flatMap(({ shard }) => shard.tensors).length / 2;
    const pairs = pairsOf(shards);
    expect(pairs.length).toBeGreaterThan(0.8 * (scales - 21));
    expect(pairs.some(([words, made]) => words !== made)).toBe(true);
    const order = schedule(shards).shards;
    for (const [words, made] of pairs) expect(order.indexOf(words)).toBeLessThanOrEqual(order.indexOf(made));
  });

  it("never lets a shard wait that another waits for", async () => {
    const pairs = pairsOf(await shardsOf(await sparseModel(), ["q4f16_1", "q4f32_1"]));
    const apart = pairs.filter(([words, made]) => words !== made);
    const waiting = new Set(apart.map(([, made]) => made));
    expect(apart.filter(([words]) => waiting.has(words))).toEqual([]);
  });

  it("pairs nothing across outputs, and nothing with words that an earlier run has made", async () => {
    const shards = await shardsOf(await sparseModel(), ["q4f16_1", "q4f16_1"]);
    for (const [words, made] of pairsOf(shards)) expect(words.output).toBe(made.output);
    const [first, ...others] = shards;
    const without = pairsOf(others).length;
    expect(first?.shard.tensors).toHaveLength(1);
    expect(without).toBe(pairsOf(shards).length - 1);
  });
});
