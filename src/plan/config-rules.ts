import { PlanError } from "../core/errors.ts";
import { isObject, type Json } from "../core/json.ts";
import { type Draft, type Rule, ropeThetaInParameters } from "./config-class.ts";
import { spell } from "./field-reader.ts";

/** `position_embedding_base` 0: the extra key `rope_theta`, else 10000. */
export const ropeBase: Rule = (draft) => {
  if (!draft.isZero("position_embedding_base")) return;
  draft.set("position_embedding_base", ropeThetaOf(draft) ?? 10000);
};

/** `rope_theta` among the extra keys, or in `rope_parameters` as newer configs have it. */
export function ropeThetaOf(draft: Draft): Json | undefined {
  const own = draft.take("rope_theta");
  if (own !== undefined) return own;
  const nested = ropeThetaInParameters(draft.extra);
  if (nested !== undefined) draft.notice("rope_theta is taken from rope_parameters");
  return nested;
}

/** `rope_scaling` must be null or of type `llama3`; scaling without `rope_type` (linear, dynamic) is dropped. */
export const llama3Scaling: Rule = (draft) => {
  const scaling = draft.get("rope_scaling");
  if (!isObject(scaling)) return;
  const type = scaling.get("rope_type");
  if (type === "llama3") return;
  if (type === undefined) draft.notice("rope_scaling has no rope_type: long-context scaling is lost");
  else if (type === "default") draft.notice('rope_scaling of type "default" is taken as no scaling');
  else {
    throw new PlanError(
      "E_ROPE_SCALING",
      `${draft.where}.rope_scaling.rope_type: expected "llama3", found ${spell(type)}`,
    );
  }
  draft.set("rope_scaling", null);
};

const CONTEXT_KEYS = ["max_position_embeddings", "max_sequence_length"] as const;

/**
 * `context_window_size` 0: the first of two extra keys.
 * @throws {PlanError} `E_CONTEXT_UNKNOWN` from the rule if there is none
 */
export function context(keys: readonly string[] = CONTEXT_KEYS): Rule {
  return (draft) => {
    if (!draft.isZero("context_window_size") || takeContext(draft, keys)) return;
    throw new PlanError(
      "E_CONTEXT_UNKNOWN",
      `${draft.where}: the maximum context length is unknown: none of ${keys.join(", ")} is in config.json`,
      { hint: "add one of these keys to config.json" },
    );
  };
}

/** Sets `context_window_size` from the first of `keys` among the extra keys; false if there is none. */
export function takeContext(draft: Draft, keys: readonly string[] = CONTEXT_KEYS): boolean {
  for (const key of keys) {
    if (!draft.extra.has(key)) continue;
    draft.set("context_window_size", draft.take(key) ?? null);
    draft.integer("context_window_size");
    return true;
  }
  return false;
}

/** `prefill_chunk_size` 0 or above the context: min(context, `most`). */
export function chunk(most: number): Rule {
  return (draft) => {
    const window = draft.integer("context_window_size");
    const size = draft.integer("prefill_chunk_size");
    if (size === 0 || size > window) draft.set("prefill_chunk_size", Math.min(window, most));
  };
}

/** `num_key_value_heads` 0 (or null): as many as heads. */
export const keyValueHeads: Rule = (draft) => {
  if (draft.isNull("num_key_value_heads") || draft.isZero("num_key_value_heads")) {
    draft.set("num_key_value_heads", draft.integer("num_attention_heads"));
  }
};

/** Names of the fields that hold the width and the number of heads. */
export interface HeadFields {
  readonly hidden: string;
  readonly heads: string;
}

const HEAD_FIELDS: HeadFields = { hidden: "hidden_size", heads: "num_attention_heads" };

/** `head_dim` 0: hidden size divided by heads. */
export function headDim(names: HeadFields = HEAD_FIELDS): Rule {
  return (draft) => {
    if (!draft.isZero("head_dim")) return;
    draft.set("head_dim", Math.floor(draft.integer(names.hidden) / positive(draft, names.heads)));
  };
}

/** `head_dim` times heads must be the hidden size. */
export function headDimFills(names: HeadFields = HEAD_FIELDS): Rule {
  return (draft) => {
    const [dim, heads, hidden] = [
      draft.integer("head_dim"),
      draft.integer(names.heads),
      draft.integer(names.hidden),
    ];
    if (dim * heads === hidden) return;
    throw draft.problem(
      `head_dim (${dim}) times ${names.heads} (${heads}) must be ${names.hidden} (${hidden})`,
    );
  };
}

/** Heads must be divisible by key-value heads. */
export function groupedQuery(heads = "num_attention_heads", groups = "num_key_value_heads"): Rule {
  return (draft) => {
    if (draft.integer(heads) % positive(draft, groups) === 0) return;
    throw draft.problem(
      `${heads} (${draft.integer(heads)}) must be divisible by ${groups} (${draft.integer(groups)})`,
    );
  };
}

/** 1 <= pipeline stages <= layers. */
export const pipelineStages: Rule = (draft) => {
  const stages = draft.integer("pipeline_parallel_stages");
  const layers = draft.integer("num_hidden_layers");
  if (stages >= 1 && stages <= layers) return;
  throw draft.problem(
    `pipeline_parallel_stages (${stages}) must be between 1 and num_hidden_layers (${layers})`,
  );
};

function positive(draft: Draft, name: string): number {
  const value = draft.integer(name);
  if (value > 0) return value;
  throw draft.problem(`${name} must be positive, found ${value}`);
}
