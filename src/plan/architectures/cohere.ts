import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, nullable, number, type Rule, text } from "../config-class.ts";
import { chunk, groupedQuery, headDim, headDimFills, keyValueHeads, takeContext } from "../config-rules.ts";
import { wholeHeads } from "../constraints.ts";
import { fusedQkv } from "../decoder-parts.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { cut, eachLayer, embedding, linear, norm } from "../table.ts";

const contextIfGiven: Rule = (draft) => {
  if (draft.isZero("context_window_size")) takeContext(draft);
};

const onceRules: readonly Rule[] = [
  contextIfGiven,
  chunk(8192),
  keyValueHeads,
  headDim(),
  headDimFills(),
  groupedQuery(),
];

/** Everything hangs on a base of 0, so that the second derivation does nothing. */
const deriveOnce: Rule = (draft) => {
  if (!draft.isZero("position_embedding_base")) return;
  draft.set("position_embedding_base", draft.extra.get("rope_theta") ?? 10000);
  for (const rule of onceRules) rule(draft);
};

const cohereConfig: ConfigClass = {
  name: "CohereConfig",
  fields: [
    text("model_type"),
    integer("hidden_size"),
    integer("vocab_size"),
    integer("num_hidden_layers"),
    integer("num_attention_heads"),
    nullable(integer("num_key_value_heads")),
    integer("intermediate_size"),
    number("layer_norm_eps"),
    number("position_embedding_base", 0),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("head_dim", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [deriveOnce],
};

/** The head is always the embedding; gate and up stay apart. */
export const architecture: Architecture = defineArchitecture({
  key: "cohere",
  awqByRule: true,
  classes: ["CohereForCausalLM"],
  config: cohereConfig,
  constraints: [wholeHeads()],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden, ffn, q } = sizes;
    return [
      embedding("model.embed_tokens.weight", [ANY_VOCAB, hidden]),
      ...eachLayer(sizes.layers, (i) => {
        const [attention, mlp] = [`model.layers.${i}.self_attn`, `model.layers.${i}.mlp`];
        return [
          fusedQkv(attention, sizes),
          linear(`${attention}.out_proj.weight`, [hidden, q], {
            from: `${attention}.o_proj.weight`,
            shard: cut("_shard_o", 1),
          }),
          linear(`${mlp}.gate_proj.weight`, [ffn, hidden], { shard: cut("_shard_mlp_gate", 0, [ffn, ffn]) }),
          linear(`${mlp}.up_proj.weight`, [ffn, hidden], { shard: cut("_shard_mlp_up", 0, [ffn, ffn]) }),
          linear(`${mlp}.down_proj.weight`, [hidden, ffn], { shard: cut("_shard_mlp_down", 1) }),
          norm(`model.layers.${i}.input_layernorm.weight`, [hidden]),
        ];
      }),
      norm("model.norm.weight", [hidden]),
    ];
  },
});
