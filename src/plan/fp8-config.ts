import { PlanError } from "../core/errors.ts";
import { isArray, isObject, type Json, type JsonObject } from "../core/json.ts";
import type { Draft, Rule } from "./config-class.ts";
import { spell } from "./field-reader.ts";

/**
 * `quantization_config` of a dynamically scaled block fp8 checkpoint gives `weight_block_size` [rows, columns].
 * Every other form is refused.
 */
export const dynamicBlockScale: Rule = (draft) => {
  const config = draft.extra.get("quantization_config");
  if (config === undefined || isAwq(config)) return;
  const wanted = { activation_scheme: "dynamic", fmt: "e4m3", quant_method: "fp8" };
  const size = blockSize(draft, fp8Config(draft, wanted));
  if (size === undefined) throw refuse(draft, "weight_block_size of two positive integers");
  draft.set("weight_block_size", size);
};

/** Whether a `quantization_config` is AutoAWQ's, which the scheme for it checks. */
export const isAwq = (config: Json | undefined): boolean =>
  isObject(config) && config.get("quant_method") === "awq";

/** The config, if it holds all wanted members. @throws {PlanError} `E_QUANTIZATION_CONFIG` */
export function fp8Config(draft: Draft, wanted: Readonly<Record<string, string>>): JsonObject {
  const config = draft.extra.get("quantization_config");
  if (!isObject(config)) throw refuse(draft, "an object", wanted);
  for (const [name, value] of Object.entries(wanted)) {
    if (config.get(name) !== value) throw refuse(draft, name, wanted);
  }
  return config;
}

/** Two integers, or undefined for null. @throws {PlanError} `E_QUANTIZATION_CONFIG` */
export function blockSize(draft: Draft, config: JsonObject): readonly number[] | undefined {
  const size = config.get("weight_block_size") ?? null;
  if (size === null) return undefined;
  if (isArray(size) && size.length === 2) {
    const numbers = size.filter((extent) => typeof extent === "number");
    if (numbers.length === 2 && numbers.every((extent) => extent > 0)) return numbers;
  }
  throw refuse(draft, "weight_block_size of two positive integers");
}

function refuse(draft: Draft, what: string, wanted: Readonly<Record<string, string>> = {}): PlanError {
  const accepted = Object.entries(wanted).map(([name, value]) => `${name} "${value}"`);
  const found = spell(draft.extra.get("quantization_config"));
  return new PlanError(
    "E_QUANTIZATION_CONFIG",
    `${draft.where}: quantization_config is not of the accepted form (${what}): found ${found}`,
    { hint: `accepted is block fp8${accepted.length > 0 ? ` with ${accepted.join(", ")}` : ""}` },
  );
}
