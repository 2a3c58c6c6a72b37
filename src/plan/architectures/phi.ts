import { Float } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer, nullable, number, type Rule } from "../config-class.ts";
import {
  chunk,
  context,
  groupedQuery,
  headDim,
  headDimFills,
  keyValueHeads,
  ropeBase,
} from "../config-rules.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture, perLayer } from "../define-architecture.ts";
import type { Expression } from "../parameter.ts";
import { joined, mapSources, source } from "../table.ts";
import { phiTable } from "./phi-msft.ts";

const innerWidth: Rule = (draft) => {
  if (draft.isNull("intermediate_size") || draft.isZero("intermediate_size")) {
    draft.set("intermediate_size", 4 * draft.integer("hidden_size"));
  }
};

const phi1Config: ConfigClass = {
  name: "Phi1Config",
  fields: [
    integer("vocab_size", 51200),
    integer("hidden_size", 2048),
    nullable(integer("intermediate_size", 8192)),
    integer("num_hidden_layers", 24),
    integer("num_attention_heads", 32),
    number("layer_norm_eps", new Float(1e-5)),
    number("position_embedding_base", 0),
    number("partial_rotary_factor", new Float(0.5)),
    nullable(integer("num_key_value_heads", 0)),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("head_dim", 0),
    integer("tensor_parallel_shards", 1),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [
    ropeBase,
    context(),
    chunk(8192),
    keyValueHeads,
    innerWidth,
    headDim(),
    headDimFills(),
    groupedQuery(),
  ],
};

/** The same model as its predecessor under other names, with q, k and v apart. */
function huggingfaceSource(name: string): Expression {
  const renamed = name
    .replace("transformer.embd.wte.", "model.embed_tokens.")
    .replace("transformer.h.", "model.layers.")
    .replace(".ln.", ".input_layernorm.")
    .replace(".mixer.out_proj.", ".self_attn.dense.")
    .replace("lm_head.input_layernorm.", "model.final_layernorm.")
    .replace("lm_head.linear.", "lm_head.");
  if (!renamed.includes(".mixer.Wqkv.")) return source(renamed);
  return joined(renamed.replace(".mixer.Wqkv.", ".self_attn.*."), ["q_proj", "k_proj", "v_proj"]);
}

export const architecture: Architecture = defineArchitecture({
  key: "phi",
  awqByRule: true,
  classes: ["PhiForCausalLM"],
  config: phi1Config,
  ignores: (fields) =>
    perLayer("model.layers", fields.integer("num_hidden_layers"), "mixer.rotary_emb.inv_freq"),
  table: (fields) =>
    phiTable(decoderSizes(fields)).map((one) => ({
      ...one,
      value: mapSources(one.value, huggingfaceSource),
    })),
});
