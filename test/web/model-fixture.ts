import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface FixtureTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly nbytes: number;
}

const TENSORS: readonly (readonly FixtureTensor[])[] = [
  [
    { name: "model.embed_tokens.q_weight", dtype: "uint32", shape: [300, 64], nbytes: 76800 },
    { name: "model.embed_tokens.q_scale", dtype: "float16", shape: [300, 16], nbytes: 9600 },
  ],
  [
    { name: "model.layers.0.mlp.down_proj.q_weight", dtype: "uint32", shape: [64, 32], nbytes: 8192 },
    { name: "model.norm.weight", dtype: "float16", shape: [64], nbytes: 128 },
  ],
];

/** All tensors of the fixture. */
export const FIXTURE_TENSORS: readonly FixtureTensor[] = TENSORS.flat();

/** Writes a small converted model with two shards, as the converter lays it out, and returns `folder`. */
export async function writeModel(
  folder: string,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const records = [];
  for (const [number, tensors] of TENSORS.entries()) {
    const nbytes = tensors.reduce((sum, tensor) => sum + tensor.nbytes, 0);
    const bytes = Buffer.from(Array.from({ length: nbytes }, (_, i) => (i * 31 + number) & 255));
    const dataPath = `params_shard_${number}.bin`;
    await writeFile(join(folder, dataPath), bytes);
    let byteOffset = 0;
    const rows = tensors.map((tensor) => {
      const row = { ...tensor, format: "f32-to-bf16", byteOffset };
      byteOffset += tensor.nbytes;
      return row;
    });
    const md5sum = createHash("md5").update(bytes).digest("hex");
    records.push({ dataPath, format: "raw-shard", nbytes, records: rows, md5sum });
  }
  const metadata = { ParamSize: 4, ParamBytes: 94720.5, BitsPerParam: 4.5 };
  await writeFile(join(folder, "tensor-cache.json"), JSON.stringify({ metadata, records }, undefined, 4));
  await writeFile(join(folder, "tokenizer.json"), '{"model": {"vocab": {}}}');
  const config = {
    version: "0.1.0",
    model_type: "llama",
    quantization: "q4f16_1",
    model_config: {
      hidden_size: 2048,
      num_hidden_layers: 16,
      intermediate_size: 8192,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: 64,
      rope_scaling: { factor: 32 },
    },
    context_window_size: 131072,
    sliding_window_size: -1,
    prefill_chunk_size: 8192,
    tensor_parallel_shards: 1,
    tokenizer_files: ["tokenizer.json"],
    model_task: "chat",
    ...changes,
  };
  await writeFile(join(folder, "mlc-chat-config.json"), JSON.stringify(config, undefined, 2));
  return folder;
}

/** Changes one bit in the middle of a file. */
export async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}
