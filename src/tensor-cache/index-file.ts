import { Float, formatJson, type Json } from "../core/json.ts";
import type { Layout, PlacedTensor, Shard, ShardResult } from "../core/layout.ts";
import type { TensorRecord } from "./layout.ts";

export interface IndexInput {
  readonly metadata: {
    readonly paramSize: number;
    readonly paramBytes: number;
    readonly bitsPerParam: number;
  };
  readonly tensors: readonly TensorRecord[];
  readonly layout: Layout;
  /** One for each shard, in order. */
  readonly results: readonly ShardResult[];
}

/** An index file's name and text. */
export interface IndexFile {
  readonly name: string;
  readonly text: string;
}

const INDENT = 4;

/**
 * The index files, in the order in which they must be written: `tensor-cache.json` last, because its presence
 * says that the folder is complete.
 * @param legacy also write the names that older runtimes ask for
 */
export function indexFiles(input: IndexInput, legacy: boolean): readonly IndexFile[] {
  const text = indexText(input, false);
  const widened = input.tensors.some(({ dtype }) => dtype === "float32");
  const b16 = widened ? indexText(input, true) : undefined;
  const files: IndexFile[] = [];
  if (legacy && b16 !== undefined) files.push({ name: "ndarray-cache-b16.json", text: b16 });
  if (legacy) files.push({ name: "ndarray-cache.json", text });
  if (b16 !== undefined) files.push({ name: "tensor-cache-b16.json", text: b16 });
  return [...files, { name: "tensor-cache.json", text }];
}

function indexText(input: IndexInput, asStored: boolean): string {
  const { paramSize, paramBytes, bitsPerParam } = input.metadata;
  const metadata = new Map<string, Json>([
    ["ParamSize", paramSize],
    ["ParamBytes", new Float(paramBytes)],
    ["BitsPerParam", new Float(bitsPerParam)],
  ]);
  const records = input.layout.shards.map((shard, index) => {
    return shardRecord(shard, (input.results[index] as ShardResult).md5, (placed) => {
      return tensorRecord(input.tensors[placed.tensor] as TensorRecord, placed, asStored);
    });
  });
  return formatJson(
    new Map<string, Json>([
      ["metadata", metadata],
      ["records", records],
    ]),
    INDENT,
  );
}

function shardRecord(shard: Shard, md5: string, record: (placed: PlacedTensor) => Json): Json {
  return new Map<string, Json>([
    ["dataPath", shard.path],
    ["format", "raw-shard"],
    ["nbytes", shard.nbytes],
    ["records", shard.tensors.map(record)],
    ["md5sum", md5],
  ]);
}

function tensorRecord({ name, shape, dtype }: TensorRecord, placed: PlacedTensor, asStored: boolean): Json {
  const plain = asStored && dtype === "float32";
  return new Map<string, Json>([
    ["name", name],
    ["shape", shape],
    ["dtype", plain ? "bfloat16" : dtype],
    ["format", plain ? "raw" : "f32-to-bf16"],
    ["nbytes", placed.nbytes],
    ["byteOffset", placed.byteOffset],
  ]);
}
