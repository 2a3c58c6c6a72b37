// A checkpoint of real shapes for timing: almost normally distributed bfloat16 values, as those of trained models
// are, one block of them repeated, so that gigabytes are made in seconds.
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { llamaCheckpoint } from "../dist/demo/demo-model.js";

const BLOCK_ELEMENTS = 8 * 2 ** 20;

/** 135 million parameters: the shapes of SmolLM2-135M. */
const SMOL_135M = {
  hiddenSize: 576,
  intermediateSize: 1536,
  layers: 30,
  heads: 9,
  keyValueHeads: 3,
  headDim: 64,
  vocabSize: 49152,
};

/** 250 million parameters, 500 MB. */
const LLAMA_250M = {
  hiddenSize: 1024,
  intermediateSize: 4096,
  layers: 12,
  heads: 16,
  keyValueHeads: 4,
  headDim: 64,
  vocabSize: 32000,
};

const LLAMA_1B = {
  hiddenSize: 2048,
  intermediateSize: 8192,
  layers: 16,
  heads: 32,
  keyValueHeads: 8,
  headDim: 64,
  vocabSize: 128256,
};

export const MODELS = { "135m": SMOL_135M, "250m": LLAMA_250M, "1b": LLAMA_1B };

/** A block of bfloat16 values with a standard deviation of 0.02, as bytes: sums of twelve uniform numbers. */
function weights() {
  const values = new Uint16Array(BLOCK_ELEMENTS);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  let state = 0x9e3779b9;
  for (let i = 0; i < values.length; i++) {
    let sum = -6;
    for (let k = 0; k < 12; k++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sum += state * 2 ** -32;
    }
    value[0] = sum * 0.02;
    values[i] = bits[0] >>> 16;
  }
  return Buffer.from(values.buffer);
}

/** Makes the model in `folder/<name>` unless it is there; returns its folder. */
export function makeModel(folder, name) {
  const target = join(folder, name);
  if (existsSync(join(target, "config.json"))) return target;
  mkdirSync(target, { recursive: true });
  const { files, config } = llamaCheckpoint(MODELS[name]);
  let offset = 0;
  const header = {};
  for (const { name: tensor, dtype, shape } of files[0].tensors) {
    const nbytes = shape.reduce((a, b) => a * b, 2);
    header[tensor] = { dtype, shape, data_offsets: [offset, offset + nbytes] };
    offset += nbytes;
  }
  writeFile(join(target, "model.safetensors"), header, offset);
  writeFileSync(join(target, "config.json"), JSON.stringify(config));
  return target;
}

function writeFile(path, header, size) {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const handle = openSync(`${path}.partial`, "w");
  writeSync(handle, Buffer.concat([length, text]));
  const block = weights();
  for (let left = size; left > 0; left -= block.length)
    writeSync(handle, block, 0, Math.min(left, block.length));
  closeSync(handle);
  renameSync(`${path}.partial`, path);
}
