import { Float, isObject } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  anything,
  type ConfigClass,
  deriveNested,
  EXTRA_KEYS,
  flag,
  integer,
  mergeExtraKeys,
  number,
  object,
  type Rule,
  text,
} from "../config-class.ts";
import { chunk, context, groupedQuery } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { gatedFfn, outputProjection } from "../decoder-parts.ts";
import { type DecoderSizes, decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import { ANY_VOCAB, type Parameter } from "../parameter.ts";
import { cut, eachLayer, embedding, linear, renameSources } from "../table.ts";
import { gemmaActivation, gemmaNorm, noAttentionBias } from "./gemma.ts";

const windowFromExtra: Rule = (draft) => {
  if (draft.isNull("sliding_window_size")) {
    draft.set("sliding_window_size", draft.extra.get("sliding_window") ?? null);
  }
};

const ropeOfText: Rule = (draft) => {
  if (draft.number("position_embedding_base") !== 1000000 || !draft.extra.has("rope_theta")) return;
  draft.set("position_embedding_base", draft.take("rope_theta") ?? null);
};

/** The runtime cannot mix local and global attention, so the context is the window, but at least 8192. */
const contextIsWindow: Rule = (draft) =>
  draft.set("context_window_size", Math.max(draft.integer("sliding_window_size"), 8192));

const textConfig: ConfigClass = {
  name: "Gemma3TextConfig",
  fields: [
    integer("hidden_size"),
    integer("intermediate_size"),
    integer("num_hidden_layers"),
    flag("attention_bias", false),
    integer("num_attention_heads", 8),
    integer("num_key_value_heads", 4),
    integer("head_dim", 256),
    number("rms_norm_eps", new Float(1e-6)),
    { ...text("hidden_activation", "gelu_pytorch_tanh"), nullable: true },
    number("position_embedding_base", 1000000),
    anything("rope_scaling", 0),
    integer("context_window_size", 131072),
    integer("prefill_chunk_size", 0),
    number("query_pre_attn_scalar", 256),
    integer("sliding_window_size", null),
    EXTRA_KEYS,
  ],
  rules: [
    gemmaActivation,
    windowFromExtra,
    noAttentionBias,
    ropeOfText,
    context(),
    groupedQuery(),
    chunk(8192),
    contextIsWindow,
  ],
};

/** A config without `text_config` is the text model's own; it is then derived twice. */
const deriveText: Rule = (draft) => {
  const given = draft.get("text_config");
  if (!isObject(given)) draft.set("is_text_model", true);
  const own = isObject(given) ? given : deriveNested(draft, "text_config", textConfig, draft.extra);
  draft.set("text_config", deriveNested(draft, "text_config", textConfig, mergeExtraKeys(own)));
};

const sizesOfText: Rule = (draft) => {
  const inner = draft.object("text_config");
  for (const name of ["context_window_size", "prefill_chunk_size", "sliding_window_size"]) {
    if (draft.integer(name) <= 0) draft.set(name, inner.get(name) ?? null);
  }
};

export const gemma3Config: ConfigClass = {
  name: "Gemma3Config",
  fields: [
    object("text_config", null),
    integer("vocab_size", 262208),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    integer("context_window_size", -1),
    integer("sliding_window_size", -1),
    integer("prefill_chunk_size", -1),
    flag("is_text_model", false),
    EXTRA_KEYS,
  ],
  rules: [deriveText, sizesOfText],
};

const PREFIX = "language_model.";

function attention(at: string, sizes: DecoderSizes): readonly Parameter[] {
  const { hidden, q, kv, headDim } = sizes;
  const headNorm = (which: string) => ({
    ...gemmaNorm(`${at}.${which}_norm.weight`, headDim),
    shard: cut(`_shard_${which}_norm`, 0),
  });
  return [
    linear(`${at}.q_proj.weight`, [q, hidden], { shard: cut("_shard_q", 0) }),
    linear(`${at}.k_proj.weight`, [kv, hidden], { shard: cut("_shard_k", 0) }),
    linear(`${at}.v_proj.weight`, [kv, hidden], { shard: cut("_shard_v", 0) }),
    outputProjection(at, sizes),
    headNorm("q"),
    headNorm("k"),
  ];
}

/** Names of the model always begin with the prefix, names of a text-only checkpoint never. */
export function gemma3Table(fields: FieldReader): readonly Parameter[] {
  const sizes = decoderSizes(fields.nested("text_config"), {}, fields.integer("tensor_parallel_shards"));
  const { hidden } = sizes;
  const parameters = [
    embedding(`${PREFIX}model.embed_tokens.weight`, [ANY_VOCAB, hidden]),
    ...eachLayer(sizes.layers, (i) => {
      const layer = `${PREFIX}model.layers.${i}`;
      return [
        ...attention(`${layer}.self_attn`, sizes),
        ...gatedFfn(`${layer}.mlp`, sizes),
        gemmaNorm(`${layer}.input_layernorm.weight`, hidden),
        gemmaNorm(`${layer}.post_attention_layernorm.weight`, hidden),
        gemmaNorm(`${layer}.pre_feedforward_layernorm.weight`, hidden),
        gemmaNorm(`${layer}.post_feedforward_layernorm.weight`, hidden),
      ];
    }),
    gemmaNorm(`${PREFIX}model.norm.weight`, hidden),
  ];
  if (!fields.flag("is_text_model")) return parameters;
  return renameSources(parameters, (name) => name.slice(PREFIX.length));
}

export const architecture: Architecture = defineArchitecture({
  key: "gemma3",
  awqByRule: true,
  classes: ["Gemma3ForConditionalGeneration"],
  config: gemma3Config,
  schemeKinds: ["no-quant", "group-quant"],
  constraints: [(fields) => wholeHeads()(fields.nested("text_config"))],
  table: gemma3Table,
});
