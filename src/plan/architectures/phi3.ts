import { PlanError } from "../../core/errors.ts";
import { Float, isObject, type Json } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  flag,
  integer,
  nullable,
  number,
  object,
  type Rule,
  text,
} from "../config-class.ts";
import { chunk, groupedQuery, headDim, headDimFills, keyValueHeads, ropeBase } from "../config-rules.ts";
import { cutQkv, type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, GGUF_FORMATS } from "../define-architecture.ts";
import { spell } from "../field-reader.ts";
import { ANY_VOCAB, type Parameter } from "../parameter.ts";
import { cut, eachLayer, embedding, linear, norm, when } from "../table.ts";

/** `rope_scaling` must be null or longrope (formerly `su`); it gets three more keys that the runtime reads. */
const longRope: Rule = (draft) => {
  const given = draft.get("rope_scaling");
  if (!isObject(given)) return;
  const type = given.get("type");
  if (type === undefined || type === "default") {
    draft.notice("rope_scaling has no type of its own: long-context scaling is lost");
    draft.set("rope_scaling", null);
    return;
  }
  if (type !== "su" && type !== "longrope") {
    const found = `${draft.where}.rope_scaling.type: expected "longrope" or "su", found ${spell(type)}`;
    throw new PlanError("E_ROPE_SCALING", found);
  }
  const scaling = new Map<string, Json>(given);
  scaling.set("type", "longrope");
  scaling.set("rope_type", "longrope");
  for (const name of ["max_position_embeddings", "original_max_position_embeddings"]) {
    scaling.set(name, draft.integer(name));
  }
  draft.set("rope_scaling", scaling);
};

const contextIsPositions: Rule = (draft) => {
  if (draft.isZero("context_window_size")) {
    draft.set("context_window_size", draft.integer("max_position_embeddings"));
  }
};

/** The fields that come first. */
export const phi3Head: readonly Field[] = [
  text("model_type"),
  integer("hidden_size"),
  integer("vocab_size"),
  integer("num_hidden_layers"),
  integer("num_attention_heads"),
  integer("intermediate_size"),
  number("rms_norm_eps"),
  nullable(integer("num_key_value_heads")),
  integer("max_position_embeddings"),
];

export const phi3Tail: readonly Field[] = [
  number("position_embedding_base", 0),
  object("rope_scaling", null),
  integer("original_max_position_embeddings", 0),
  integer("context_window_size", 0),
  integer("prefill_chunk_size", 0),
  integer("head_dim", 0),
  integer("tensor_parallel_shards", 1),
  integer("max_batch_size", 1),
];

export const phi3Rules: readonly Rule[] = [
  ropeBase,
  longRope,
  contextIsPositions,
  chunk(8192),
  keyValueHeads,
  headDim(),
  headDimFills(),
  groupedQuery(),
];

const phi3Config: ConfigClass = {
  name: "Phi3Config",
  fields: [
    ...phi3Head,
    ...phi3Tail,
    flag("tie_word_embeddings", false),
    number("partial_rotary_factor", new Float(1)),
    EXTRA_KEYS,
  ],
  rules: phi3Rules,
};

/** The decoder; `root` is the model's name for it, the checkpoint always says `model`. Everything is fused already. */
export function phi3Decoder(root: string, sizes: DecoderSizes): readonly Parameter[] {
  const { hidden, ffn, q, qkv, vocab } = sizes;
  return [
    embedding(`${root}.embd.weight`, [vocab, hidden], { from: "model.embed_tokens.weight" }),
    ...eachLayer(sizes.layers, (i) => {
      const [to, from] = [`${root}.h.${i}`, `model.layers.${i}`];
      return [
        norm(`${to}.ln.weight`, [hidden], { from: `${from}.input_layernorm.weight` }),
        linear(`${to}.mixer.qkv_proj.weight`, [qkv, hidden], {
          from: `${from}.self_attn.qkv_proj.weight`,
          shard: cutQkv("_shard_qkv", sizes),
        }),
        linear(`${to}.mixer.out_proj.weight`, [hidden, q], {
          from: `${from}.self_attn.o_proj.weight`,
          shard: cut("_shard_o", 1),
        }),
        linear(`${to}.mlp.gate_up_proj.weight`, [2 * ffn, hidden], {
          from: `${from}.mlp.gate_up_proj.weight`,
          shard: cut("_shard_mlp_up", 0, [ffn, ffn]),
        }),
        linear(`${to}.mlp.down_proj.weight`, [hidden, ffn], {
          from: `${from}.mlp.down_proj.weight`,
          shard: cut("_shard_mlp_down", 1),
        }),
        norm(`${to}.post_attention_layernorm.weight`, [hidden], {
          from: `${from}.post_attention_layernorm.weight`,
        }),
      ];
    }),
    norm(`${root}.norm.weight`, [hidden], { from: "model.norm.weight" }),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "phi3",
  awqByRule: true,
  classes: ["Phi3ForCausalLM"],
  config: phi3Config,
  sourceFormats: GGUF_FORMATS,
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const head = linear("lm_head.weight", [ANY_VOCAB, sizes.hidden]);
    return [...phi3Decoder("transformer", sizes), ...when(!fields.flag("tie_word_embeddings"), head)];
  },
});
