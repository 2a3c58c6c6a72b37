import { Float } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, nullable, number, type Rule, text } from "../config-class.ts";
import { groupedQuery, headDim, headDimFills, ropeBase, takeContext } from "../config-rules.ts";
import type { Constraint } from "../constraints.ts";
import { cutQkv, type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, perLayer } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { ANY_VOCAB, type Parameter } from "../parameter.ts";
import { bias, cut, eachLayer, embedding, layerNorm, linear, renameSources } from "../table.ts";

const HEADS = { hidden: "n_embd", heads: "n_head" } as const;
const MIXFORMER = "mixformer-sequential";

/** 0 or null: the given value. */
const orElse =
  (name: string, value: (fields: FieldReader) => number): Rule =>
  (draft) => {
    if (draft.isNull(name) || draft.isZero(name)) draft.set(name, value(draft));
  };

const contextOrPositions: Rule = (draft) => {
  if (draft.isZero("context_window_size") && !takeContext(draft)) {
    draft.set("context_window_size", draft.integer("n_positions"));
  }
};

/** Not capped at 8192, unlike elsewhere. */
const wholeChunk: Rule = (draft) => {
  const window = draft.integer("context_window_size");
  const size = draft.integer("prefill_chunk_size");
  draft.set("prefill_chunk_size", Math.min(size === 0 ? window : size, window));
};

const phiConfig: ConfigClass = {
  name: "PhiConfig",
  fields: [
    text("model_type"),
    integer("vocab_size", 51200),
    integer("n_positions", 2048),
    integer("n_embd", 2560),
    integer("n_layer", 32),
    nullable(integer("n_inner", 0)),
    integer("n_head", 32),
    integer("rotary_dim", 32),
    number("position_embedding_base", 0),
    number("layer_norm_epsilon", new Float(1e-5)),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    nullable(integer("n_head_kv", 0)),
    integer("head_dim", 0),
    integer("tensor_parallel_shards", 1),
    EXTRA_KEYS,
  ],
  rules: [
    ropeBase,
    contextOrPositions,
    wholeChunk,
    orElse("n_head_kv", (fields) => fields.integer("n_head")),
    orElse("n_inner", (fields) => 4 * fields.integer("n_embd")),
    headDim(HEADS),
    headDimFills(HEADS),
    groupedQuery("n_head", "n_head_kv"),
  ],
};

/** The model that both layouts of this family become; sources are called like the parameters. */
export function phiTable(sizes: DecoderSizes): readonly Parameter[] {
  const { hidden, ffn, q, qkv, vocab } = sizes;
  return [
    embedding("transformer.embd.weight", [vocab, hidden], { from: "transformer.embd.wte.weight" }),
    ...eachLayer(sizes.layers, (i) => {
      const layer = `transformer.h.${i}`;
      return [
        ...layerNorm(`${layer}.ln`, hidden),
        linear(`${layer}.mixer.Wqkv.weight`, [qkv, hidden], { shard: cutQkv("_shard_qkv_weight", sizes) }),
        bias(`${layer}.mixer.Wqkv.bias`, [qkv], { shard: cutQkv("_shard_qkv_bias", sizes) }),
        linear(`${layer}.mixer.out_proj.weight`, [hidden, q], { shard: cut("_shard_o_weight", 1) }),
        bias(`${layer}.mixer.out_proj.bias`, [hidden]),
        linear(`${layer}.mlp.fc1.weight`, [ffn, hidden], { shard: cut("_shard_mlp_fc1_weight", 0) }),
        bias(`${layer}.mlp.fc1.bias`, [ffn], { shard: cut("_shard_mlp_fc1_bias", 0) }),
        linear(`${layer}.mlp.fc2.weight`, [hidden, ffn], { shard: cut("_shard_mlp_fc2_weight", 1) }),
        bias(`${layer}.mlp.fc2.bias`, [hidden]),
      ];
    }),
    ...layerNorm("lm_head.ln", hidden),
    linear("lm_head.linear.weight", [ANY_VOCAB, hidden]),
    bias("lm_head.linear.bias", [ANY_VOCAB]),
  ];
}

/** The older layout numbers the embedding, the layers and the head in one sequence. */
function mixformerName(name: string, layers: number): string {
  return name
    .replace("transformer.embd.", "layers.0.")
    .replace(/^transformer\.h\.(\d+)\./, (_, i: string) => `layers.${Number(i) + 1}.`)
    .replace(/^lm_head\./, `layers.${layers + 1}.`);
}

const knownLayout: Constraint = (fields) => {
  const type = fields.text("model_type");
  if (type === "phi-msft" || type === MIXFORMER) return;
  throw fields.problem(`model_type must be "phi-msft" or "${MIXFORMER}", found "${type}"`);
};

const isMixformer = (fields: FieldReader): boolean => fields.text("model_type") === MIXFORMER;

export const architecture: Architecture = defineArchitecture({
  key: "phi-msft",
  awqByRule: true,
  classes: ["PhiForCausalLM", "MixFormerSequentialForCausalLM"],
  config: phiConfig,
  recognizes: (config) => config.get("model_type") === MIXFORMER,
  constraints: [knownLayout],
  ignores: (fields) =>
    isMixformer(fields)
      ? perLayer("layers", fields.integer("n_layer") + 1, "mixer.rotary_emb.inv_freq").slice(1)
      : [],
  table: (fields) => {
    const names = {
      hidden: "n_embd",
      ffn: "n_inner",
      heads: "n_head",
      kvHeads: "n_head_kv",
      layers: "n_layer",
    };
    const sizes = decoderSizes(fields, names);
    const parameters = phiTable(sizes);
    if (!isMixformer(fields)) return parameters;
    return renameSources(parameters, (name) => mixformerName(name, sizes.layers));
  },
});
