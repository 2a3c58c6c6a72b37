import { Float } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import {
  type ConfigClass,
  EXTRA_KEYS,
  type Field,
  integer,
  nullable,
  number,
  type Rule,
  text,
} from "../config-class.ts";
import { oneShard } from "../constraints.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Expression, Parameter } from "../parameter.ts";
import { eachLayer, embedding, layerNorm, linear, raw, renameSources, source, when } from "../table.ts";

export const rwkvFields = (version: Field): readonly Field[] => [
  integer("hidden_size"),
  nullable(integer("intermediate_size")),
  integer("num_hidden_layers"),
  integer("vocab_size"),
  version,
  integer("tensor_parallel_shards", 1),
  integer("rescale_every", 0),
  integer("head_size", 64),
  number("layer_norm_epsilon", new Float(1e-5)),
  integer("context_window_size", -1),
  integer("prefill_chunk_size", 4096),
  integer("num_heads", 0),
  integer("max_batch_size", 1),
  EXTRA_KEYS,
];

export const rwkvRules = (version: string): readonly Rule[] => [
  (draft) => {
    const found = draft.text("model_version");
    if (found !== version) throw draft.problem(`model_version must be "${version}", found "${found}"`);
  },
  // 3.5 times the width, down to a multiple of 32
  (draft) => {
    if (!draft.isNull("intermediate_size") && !draft.isZero("intermediate_size")) return;
    draft.set("intermediate_size", Math.floor((draft.integer("hidden_size") * 3.5) / 32) * 32);
  },
  (draft) => {
    const [hidden, size] = [draft.integer("hidden_size"), draft.integer("head_size")];
    if (draft.isZero("num_heads")) draft.set("num_heads", Math.floor(hidden / size));
    if (hidden % size !== 0)
      throw draft.problem(`hidden_size (${hidden}) must be divisible by head_size (${size})`);
  },
  oneShard,
];

const rwkv5Config: ConfigClass = {
  name: "RWKV5Config",
  fields: rwkvFields(text("model_version")),
  rules: rwkvRules("5_2"),
};

/** Activations halve every `rescale_every` layers, so the weights that write to the residual stream do too. */
export function rescaled(name: string, layer: number, fields: FieldReader): Expression {
  const every = fields.integer("rescale_every");
  const power = every > 0 ? Math.floor(layer / every) : 0;
  return power === 0 ? source(name) : { op: "divide-pow2", of: source(name), power };
}

/** The attention's linear layers and its last norm, which both versions share. */
export function rwkvProjections(at: string, layer: number, fields: FieldReader): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const output = `${at}.output.weight`;
  return [
    ...["key", "value", "receptance", "gate"].map((name) => linear(`${at}.${name}.weight`, [hidden, hidden])),
    linear(output, [hidden, hidden], { from: rescaled(output, layer, fields) }),
    ...layerNorm(`${at}.ln_x`, hidden, { dtype: "float32" }),
  ];
}

/** The feed-forward network's linear layers. */
export function rwkvFfn(
  at: string,
  layer: number,
  { fields, width }: { fields: FieldReader; width: number },
): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const value = `${at}.value.weight`;
  return [
    linear(`${at}.key.weight`, [width, hidden]),
    linear(`${at}.receptance.weight`, [hidden, hidden]),
    linear(value, [hidden, width], { from: rescaled(value, layer, fields) }),
  ];
}

/** Vectors [1, 1, hidden] that mix a token with the one before it. */
export const mixes = (at: string, names: readonly string[], hidden: number): readonly Parameter[] =>
  names.map((name) => raw(`${at}.${name}`, [1, 1, hidden]));

/** A model of blocks; the checkpoint says `rwkv` wherever the model says `model`. */
export function rwkvModel(
  fields: FieldReader,
  block: (at: string, layer: number) => readonly Parameter[],
): readonly Parameter[] {
  const [hidden, vocab] = [fields.integer("hidden_size"), fields.integer("vocab_size")];
  const parameters = [
    embedding("model.embeddings.weight", [vocab, hidden]),
    ...eachLayer(fields.integer("num_hidden_layers"), (i) => [
      ...when(i === 0, ...layerNorm(`model.blocks.${i}.pre_ln`, hidden)),
      ...layerNorm(`model.blocks.${i}.ln1`, hidden),
      ...layerNorm(`model.blocks.${i}.ln2`, hidden),
      ...block(`model.blocks.${i}`, i),
    ]),
    ...layerNorm("model.ln_out", hidden),
    linear("head.weight", [vocab, hidden]),
  ];
  return renameSources(parameters, (name) => name.replaceAll("model", "rwkv"));
}

export const architecture: Architecture = defineArchitecture({
  key: "rwkv5",
  classes: ["RwkvForCausalLM", "Rwkv5ForCausalLM"],
  config: rwkv5Config,
  table: (fields) => {
    const hidden = fields.integer("hidden_size");
    const perHead = [fields.integer("num_heads"), fields.integer("head_size")];
    return rwkvModel(fields, (at, i) => {
      const decay = `${at}.attention.time_decay`;
      return [
        raw(decay, perHead, { from: { op: "exp-neg-exp", of: source(decay) }, dtype: "float32" }),
        raw(`${at}.attention.time_faaaa`, perHead, { dtype: "float32" }),
        ...mixes(
          `${at}.attention`,
          ["time_mix_gate", "time_mix_key", "time_mix_value", "time_mix_receptance"],
          hidden,
        ),
        ...rwkvProjections(`${at}.attention`, i, fields),
        ...mixes(`${at}.feed_forward`, ["time_mix_key", "time_mix_receptance"], hidden),
        ...rwkvFfn(`${at}.feed_forward`, i, { fields, width: fields.integer("intermediate_size") }),
      ];
    });
  },
});
