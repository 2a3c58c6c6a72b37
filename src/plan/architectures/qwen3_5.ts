import { Float, isObject, type Json, type JsonObject } from "../../core/json.ts";
import type { Architecture, NameAlias } from "../architecture.ts";
import { type ConfigClass, EXTRA_KEYS, flag, integer, number, text } from "../config-class.ts";
import { chunk, context } from "../config-rules.ts";
import { activation, type Constraint } from "../constraints.ts";
import { perWorker } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import type { FieldReader } from "../field-reader.ts";
import type { Parameter } from "../parameter.ts";
import { eachLayer, embedding, joined, linear, norm, plusOne, raw, renameSources, when } from "../table.ts";

/** The text model's keys win over the wrapper's; two of them live in `rope_parameters`. */
function mergeTextConfig(config: JsonObject): JsonObject {
  const inner = config.get("text_config");
  const merged = new Map<string, Json>(isObject(inner) ? [...config, ...inner] : config);
  merged.delete("text_config");
  const rope = merged.get("rope_parameters");
  merged.delete("rope_parameters");
  for (const name of isObject(rope) ? ["rope_theta", "partial_rotary_factor"] : []) {
    const value = isObject(rope) ? rope.get(name) : undefined;
    if (value !== undefined) merged.set(name, value);
  }
  return merged;
}

export const qwen35Config: ConfigClass = {
  name: "Qwen35Config",
  prepare: mergeTextConfig,
  fields: [
    integer("hidden_size", 0),
    integer("intermediate_size", 0),
    integer("num_attention_heads", 0),
    integer("num_hidden_layers", 0),
    integer("num_key_value_heads", 0),
    number("rms_norm_eps", new Float(1e-6)),
    integer("vocab_size", 0),
    number("rope_theta", 10000000),
    integer("head_dim", 256),
    text("hidden_act", "silu"),
    flag("attention_bias", false),
    flag("tie_word_embeddings", false),
    integer("linear_key_head_dim", 128),
    integer("linear_value_head_dim", 128),
    integer("linear_num_key_heads", 16),
    integer("linear_num_value_heads", 16),
    integer("linear_conv_kernel_dim", 4),
    integer("full_attention_interval", 4),
    number("partial_rotary_factor", new Float(0.25)),
    integer("context_window_size", 0),
    integer("prefill_chunk_size", 0),
    integer("tensor_parallel_shards", 1),
    text("dtype", "float32"),
    integer("max_batch_size", 1),
    EXTRA_KEYS,
  ],
  rules: [context(), chunk(2048)],
};

/** Every size defaults to 0, so that a missing one must be caught here. */
const sizesGiven: Constraint = (fields) => {
  const names = ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"];
  const missing = [...names, "num_key_value_heads", "vocab_size", "full_attention_interval"].filter(
    (name) => fields.integer(name) <= 0,
  );
  if (missing.length > 0) throw fields.problem(`${missing.join(", ")} must be given and positive`);
};

export const qwen35Constraints: readonly Constraint[] = [
  sizesGiven,
  activation("hidden_act", ["gelu", "relu", "silu"]),
];

const plusOneNorm = (name: string, width: number): Parameter =>
  norm(name, [width], { from: plusOne(name, "float32") });

/** q_proj has twice its rows: every head's query is followed by its gate. */
function fullAttention(at: string, fields: FieldReader): readonly Parameter[] {
  const [hidden, headDim] = [fields.integer("hidden_size"), fields.integer("head_dim")];
  const workers = fields.integer("tensor_parallel_shards");
  const heads = perWorker(fields, "num_attention_heads", workers);
  const kvHeads = perWorker(fields, "num_key_value_heads", workers);
  return [
    linear(`${at}.c_attn.weight`, [(2 * heads + 2 * kvHeads) * headDim, hidden], {
      from: joined(`${at}.*.weight`, ["q_proj", "k_proj", "v_proj"]),
    }),
    linear(`${at}.o_proj.weight`, [hidden, heads * headDim]),
    plusOneNorm(`${at}.q_norm.weight`, headDim),
    plusOneNorm(`${at}.k_norm.weight`, headDim),
  ];
}

function linearAttention(at: string, fields: FieldReader): readonly Parameter[] {
  const hidden = fields.integer("hidden_size");
  const valueHeads = fields.integer("linear_num_value_heads");
  const valueDim = fields.integer("linear_value_head_dim");
  const keys = fields.integer("linear_num_key_heads") * fields.integer("linear_key_head_dim");
  const values = valueHeads * valueDim;
  const kernel = fields.integer("linear_conv_kernel_dim");
  return [
    linear(`${at}.in_proj_qkv.weight`, [2 * keys + values, hidden]),
    linear(`${at}.in_proj_z.weight`, [values, hidden]),
    linear(`${at}.in_proj_a.weight`, [valueHeads, hidden]),
    linear(`${at}.in_proj_b.weight`, [valueHeads, hidden]),
    linear(`${at}.out_proj.weight`, [hidden, values]),
    raw(`${at}.conv1d_weight`, [2 * keys + values, 1, kernel], { from: `${at}.conv1d.weight` }),
    raw(`${at}.A_log`, [valueHeads], { dtype: "float32" }),
    raw(`${at}.dt_bias`, [valueHeads], { dtype: "float32" }),
    norm(`${at}.norm.weight`, [valueDim]),
  ];
}

/** Every n-th layer has full attention, the others linear attention; `layer_types` of the config is not read. */
export function qwen35Table(fields: FieldReader): readonly Parameter[] {
  const [hidden, vocab] = [fields.integer("hidden_size"), fields.integer("vocab_size")];
  const ffn = perWorker(fields, "intermediate_size", fields.integer("tensor_parallel_shards"));
  const interval = fields.integer("full_attention_interval");
  const parameters = [
    embedding("model.embed_tokens.weight", [vocab, hidden]),
    ...eachLayer(fields.integer("num_hidden_layers"), (i) => {
      const layer = `model.layers.${i}`;
      return [
        ...((i + 1) % interval === 0
          ? fullAttention(`${layer}.self_attn`, fields)
          : linearAttention(`${layer}.linear_attn`, fields)),
        linear(`${layer}.mlp.gate_up_proj.weight`, [2 * ffn, hidden], {
          from: joined(`${layer}.mlp.*.weight`, ["gate_proj", "up_proj"]),
        }),
        linear(`${layer}.mlp.down_proj.weight`, [hidden, ffn]),
        plusOneNorm(`${layer}.input_layernorm.weight`, hidden),
        plusOneNorm(`${layer}.post_attention_layernorm.weight`, hidden),
      ];
    }),
    plusOneNorm("model.norm.weight", hidden),
    ...when(!fields.flag("tie_word_embeddings"), linear("lm_head.weight", [vocab, hidden])),
  ];
  return renameSources(parameters, (name) => name.replace(/^model\./, PREFIX));
}

const PREFIX = "model.language_model.";

/** Text-only checkpoints call their tensors `model.` where wrapped ones say `model.language_model.`. */
export const textOnlyNames = (names: ReadonlySet<string>): NameAlias | undefined => {
  for (const name of names) if (name.startsWith(PREFIX)) return undefined;
  return {
    rename: (name) => (name.startsWith(PREFIX) ? `model.${name.slice(PREFIX.length)}` : name),
    notice: `no tensor is called ${PREFIX}...: the names of a text-only checkpoint are used`,
  };
};

export const architecture: Architecture = defineArchitecture({
  key: "qwen3_5",
  awqByRule: true,
  classes: ["Qwen3_5ForConditionalGeneration"],
  config: qwen35Config,
  constraints: qwen35Constraints,
  aliases: textOnlyNames,
  table: qwen35Table,
});
