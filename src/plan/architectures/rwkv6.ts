import type { Architecture } from "../architecture.ts";
import { type ConfigClass, text } from "../config-class.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Parameter } from "../parameter.ts";
import { raw } from "../table.ts";
import { mixes, rwkvFfn, rwkvFields, rwkvModel, rwkvProjections, rwkvRules } from "./rwkv5.ts";

const rwkv6Config: ConfigClass = {
  name: "RWKV6Config",
  fields: rwkvFields(text("model_version", "6_0")),
  rules: rwkvRules("6_0"),
};

/** Time mixing that depends on the data, through matrices of low rank. */
function timeMixing(at: string, fields: FieldReader): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const [mixRank, decayRank] = hidden === 4096 ? [64, 128] : [32, 64];
  return [
    ...mixes(
      at,
      ["x", "w", "k", "v", "r", "g"].map((one) => `time_maa_${one}`),
      hidden,
    ),
    raw(`${at}.time_maa_w1`, [hidden, 5 * mixRank]),
    raw(`${at}.time_maa_w2`, [5, mixRank, hidden]),
    raw(`${at}.time_decay_w1`, [hidden, decayRank]),
    raw(`${at}.time_decay_w2`, [decayRank, hidden]),
    raw(`${at}.time_decay`, [1, 1, hidden], { dtype: "float32" }),
    raw(`${at}.time_faaaa`, [fields.integer("num_heads"), fields.integer("head_size")], { dtype: "float32" }),
  ];
}

export const architecture: Architecture = defineArchitecture({
  key: "rwkv6",
  classes: ["Rwkv6ForCausalLM"],
  config: rwkv6Config,
  schemeKinds: ["no-quant", "group-quant"],
  table: (fields) => {
    const hidden = fields.integer("hidden_size");
    // Fixed by the runtime, whatever intermediate_size says.
    const width = Math.floor(hidden / 2) * 7;
    return rwkvModel(fields, (at, i) => [
      ...timeMixing(`${at}.attention`, fields),
      ...rwkvProjections(`${at}.attention`, i, fields),
      ...mixes(`${at}.feed_forward`, ["time_maa_k", "time_maa_r"], hidden),
      ...rwkvFfn(`${at}.feed_forward`, i, { fields, width }),
    ]);
  },
});
