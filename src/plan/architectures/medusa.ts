import type { Architecture } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, integer } from "../config-class.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { bias, eachLayer, linear } from "../table.ts";

const medusaConfig: ConfigClass = {
  name: "MedusaConfig",
  fields: [
    integer("medusa_num_heads"),
    integer("medusa_num_layers"),
    integer("hidden_size"),
    integer("vocab_size"),
    integer("max_batch_size", 1),
    integer("tensor_parallel_shards", 1),
    EXTRA_KEYS,
    integer("prefill_chunk_size", -1),
    integer("context_window_size", -1),
  ],
  rules: [],
};

/** Extra heads for speculative decoding: residual blocks, and a linear layer after the last one. */
export const architecture: Architecture = defineArchitecture({
  key: "medusa",
  config: medusaConfig,
  schemeKinds: ["no-quant"],
  table: (fields) => {
    const hidden = fields.integer("hidden_size");
    const blocks = fields.integer("medusa_num_layers");
    return eachLayer(fields.integer("medusa_num_heads"), (h) => [
      ...eachLayer(blocks, (l) => [
        linear(`medusa_head.${h}.${l}.linear.weight`, [hidden, hidden]),
        bias(`medusa_head.${h}.${l}.linear.bias`, [hidden]),
      ]),
      linear(`medusa_head.${h}.${blocks}.weight`, [fields.integer("vocab_size"), hidden]),
    ]);
  },
});
