import { PlanError } from "../core/errors.ts";
import { isObject, type Json, type JsonObject, toNumber } from "../core/json.ts";
import type { Architecture } from "./architecture.ts";
import type { MemoryFigures } from "./gguf/memory-figures.ts";

/** How the config classes spell what the key-value cache is made of. */
const SPELLINGS = {
  layers: ["num_hidden_layers", "n_layer", "num_layers"],
  hidden: ["hidden_size", "n_embd"],
  heads: ["num_attention_heads", "n_head"],
  kvHeads: ["num_key_value_heads", "multi_query_group_num"],
  headDim: ["head_dim", "kv_channels"],
  vocab: ["vocab_size", "padded_vocab_size"],
  context: ["context_window_size"],
  window: ["sliding_window_size"],
  latent: ["kv_lora_rank"],
  rotary: ["qk_rope_head_dim"],
} as const;

/**
 * What the MLC runtime keeps for a model, from its derived config: one window for all layers or none, and of
 * models with latent attention one latent vector a token.
 * @throws {PlanError} `E_NO_CACHE_SHAPE` for models without a key-value cache
 */
export function memoryFigures(architecture: Architecture, config: JsonObject): MemoryFigures {
  const { fields, extra } = architecture.derive(config);
  const objects = withNested(fields);
  const read = (what: keyof typeof SPELLINGS): number | undefined => firstNumber(objects, SPELLINGS[what]);
  const [layers, hidden, heads] = [read("layers"), read("hidden"), read("heads")];
  if (layers === undefined || hidden === undefined || heads === undefined) {
    throw new PlanError(
      "E_NO_CACHE_SHAPE",
      `${architecture.key} has no key-value cache whose size could be computed`,
      { hint: "name a quantization instead of asking for one" },
    );
  }
  const window = read("window") ?? -1;
  const limit = read("context") ?? -1;
  const trained = toNumber(extra.get("max_position_embeddings")) ?? 0;
  return {
    layers,
    hidden,
    heads,
    vocab: read("vocab") ?? 0,
    ...headFigures({ heads, hidden, read }),
    ...(architecture.multiQuery ? { kvHeads: 1 } : {}),
    contextLimit: limit > 0 ? limit : Math.max(trained, window, 1),
    ...(window > 0 ? { sliding: { layers, window } } : {}),
  };
}

type Read = (what: keyof typeof SPELLINGS) => number | undefined;

function headFigures({ heads, hidden, read }: { heads: number; hidden: number; read: Read }): {
  readonly kvHeads: number;
  readonly keyLength: number;
  readonly valueLength: number;
} {
  const latent = read("latent");
  if (latent !== undefined) {
    return { kvHeads: 1, keyLength: latent + (read("rotary") ?? 0), valueLength: 0 };
  }
  const headDim = read("headDim") || Math.floor(hidden / heads);
  return { kvHeads: read("kvHeads") || heads, keyLength: headDim, valueLength: headDim };
}

/** The config itself, and the text model's inside those of multimodal ones. */
function withNested(fields: JsonObject): readonly JsonObject[] {
  const nested = ["text_config", "llm_config"].map((name): Json | undefined => fields.get(name));
  return [...nested.filter(isObject), fields];
}

function firstNumber(objects: readonly JsonObject[], names: readonly string[]): number | undefined {
  for (const object of objects) {
    for (const name of names) {
      const value = toNumber(object.get(name) ?? undefined);
      if (value !== undefined) return value;
    }
  }
  return undefined;
}
