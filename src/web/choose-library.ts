import type { JsonObject } from "../core/json.ts";
import { isObject, toNumber } from "../core/json.ts";
import type { LibraryBuild, LibraryFamily, LibraryNeed, ModelShape } from "./library-family.ts";
import { parseBuild } from "./library-family.ts";
import { LIBRARY_FAMILIES, LIBRARY_VERSION } from "./library-table.ts";

export interface LibraryChoice {
  readonly file: string;
  readonly url: string;
  readonly need: LibraryNeed;
  readonly kind: number | undefined;
  /** Ways in which the model departs from the one the library was compiled for, one sentence each. */
  readonly notices: readonly string[];
}

/** Why no library fits, for people. */
export interface NoLibrary {
  readonly reason: string;
}

export interface LibraryQuery {
  /** mlc-chat-config.json. */
  readonly config: JsonObject;
  /** Chooses among libraries for the same sizes. */
  readonly modelName: string;
  /** Largest context window wanted, tokens. */
  readonly contextWindowSize: number;
}

const BASE_URL = "https://raw.githubusercontent.com/mlc-ai/binary-mlc-llm-libs/main/web-llm-models";

/** Finds the library compiled for a model's architecture, sizes and quantization, or says why there is none. */
export function chooseLibrary({
  config,
  modelName,
  contextWindowSize,
}: LibraryQuery): LibraryChoice | NoLibrary {
  const modelType = textAt(config, "model_type");
  const quantization = textAt(config, "quantization");
  if ((toNumber(config.get("tensor_parallel_shards")) ?? 1) > 1)
    return { reason: "the model is split over several devices, and a browser has one" };
  const ofType = LIBRARY_FAMILIES.filter((family) => family.modelTypes.includes(modelType));
  if (ofType.length === 0) return { reason: `no published library is for the architecture ${modelType}` };
  const shape = readShape(config.get("model_config"));
  const fitting = ofType.filter((family) => fits(family, shape, modelName));
  const [family] = fitting.toSorted(
    (a, b) => sharedWords(b.name, modelName) - sharedWords(a.name, modelName),
  );
  if (!family) return { reason: `no published library for ${modelType} has these sizes: ${describe(shape)}` };
  const builds = family.builds.map(parseBuild);
  const usable = builds.filter((build) => build.quantization === quantization);
  const [build] = usable.toSorted((a, b) => batchRank(a, config) - batchRank(b, config));
  if (!build) {
    const known = [...new Set(builds.map((candidate) => candidate.quantization))].join(", ");
    return { reason: `${family.name} is published for ${known}, not for ${quantization}` };
  }
  const need = build.needs.find(([context]) => context <= contextWindowSize) ?? build.needs.at(-1);
  if (!need) return { reason: `${family.name} has no build` };
  const file = `${family.name}-${quantization}${build.suffix}-webgpu.wasm`;
  return {
    file,
    url: `${BASE_URL}/${LIBRARY_VERSION}/${file}`,
    need,
    kind: family.kind,
    notices: [...shapeNotices(family), ...ropeNotices(family, config)],
  };
}

/** Says how it is known what the library was compiled for, where that is not by its model's configuration. */
function shapeNotices({ name, shape, inferred }: LibraryFamily): readonly string[] {
  if (Object.keys(shape).length === 0)
    return [`The library for ${name} was chosen by the model's name alone.`];
  if (!inferred) return [];
  return [`The sizes that the library for ${name} was compiled for are inferred: try it before you publish.`];
}

/** Rotary base that is compiled into the libraries, inferred from what is generally known of the models. */
const ROPE_BASES: readonly (readonly [RegExp, number])[] = [
  [/^Llama-3|^OLMo-2/, 500000],
  [/^Llama-2|^TinyLlama|^gemma-2|^phi-[12]|^Phi-3|^stablelm|^RedPajama/, 10000],
  [/^Qwen2|^Qwen3-|^Mistral/, 1000000],
  [/^SmolLM2-1\.7B/, 130000],
  [/^SmolLM2-(360|135)M/, 100000],
];

function ropeNotices({ name }: LibraryFamily, config: JsonObject): readonly string[] {
  const compiled = ROPE_BASES.find(([pattern]) => pattern.test(name))?.[1];
  const modelConfig = config.get("model_config");
  const own = isObject(modelConfig) ? toNumber(modelConfig.get("position_embedding_base")) : undefined;
  if (compiled === undefined || own === undefined || own === compiled) return [];
  return [
    `${name} was, as far as is known, compiled for rotary base ${compiled}, the model has ${own}; its text may be poor.`,
  ];
}

/** Sizes of a `model_config`, of its `text_config` where the model is nested. */
export function readShape(modelConfig: unknown): Required<Omit<ModelShape, "kvHeads">> & ModelShape {
  const top: JsonObject = modelConfig instanceof Map ? modelConfig : new Map();
  const nested = top.get("text_config");
  const fields = isObject(nested) ? nested : top;
  const size = (...names: readonly string[]): number =>
    names.map((name) => toNumber(fields.get(name))).find((value) => value !== undefined) ?? 0;
  const heads = size("num_attention_heads", "n_head");
  return {
    hiddenSize: size("hidden_size", "n_embd"),
    layers: size("num_hidden_layers", "n_layer", "num_layers"),
    intermediateSize: size("intermediate_size", "n_inner", "ffn_hidden_size"),
    heads,
    kvHeads: size("num_key_value_heads", "n_head_kv", "multi_query_group_num") || heads,
    ropeScaled: isObject(fields.get("rope_scaling")),
  };
}

function fits(family: LibraryFamily, shape: ModelShape, modelName: string): boolean {
  const wanted = Object.entries(family.shape) as [keyof ModelShape, number | boolean][];
  if (wanted.length === 0) return modelName.toLowerCase().includes(family.name.toLowerCase());
  return wanted.every(([name, value]) => shape[name] === value);
}

function describe(shape: ModelShape): string {
  return `hidden size ${shape.hiddenSize}, ${shape.layers} layers, intermediate size ${shape.intermediateSize}, ${shape.heads} heads, ${shape.kvHeads} key/value heads`;
}

/** Embedding libraries are compiled for 4 or 32 texts at a time. */
function batchRank({ suffix }: LibraryBuild, config: JsonObject): number {
  const batch = Number(/batch(\d+)/.exec(suffix)?.[1] ?? 0);
  const modelConfig = config.get("model_config");
  const wanted = isObject(modelConfig) ? (toNumber(modelConfig.get("max_batch_size")) ?? 1) : 1;
  return batch <= wanted ? -batch : batch;
}

function sharedWords(name: string, modelName: string): number {
  const words = new Set(modelName.toLowerCase().split(/[^a-z0-9]+/));
  return name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => words.has(word)).length;
}

function textAt(object: JsonObject, key: string): string {
  const value = object.get(key);
  return typeof value === "string" ? value : "";
}
