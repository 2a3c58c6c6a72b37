import type { Parameter } from "./parameter.ts";

const FINAL_MODULES: readonly string[] = ["head", "lm_head", "lm_head.linear", "embed_out"];
const WEIGHT = ".weight";

/** A parameter's name without `.weight`: the dotted name of its node. */
export function moduleOf(parameter: Parameter): string {
  return parameter.name.endsWith(WEIGHT) ? parameter.name.slice(0, -WEIGHT.length) : parameter.name;
}

/** True for the final layer: an exact match of the whole dotted name (architectures.md §2.0.1). */
export function isFinalLayer(parameter: Parameter): boolean {
  return FINAL_MODULES.includes(moduleOf(parameter));
}

/** True for a router: its name ends in `gate`, and it has at most 256 rows, a fixed number. */
export function isGate(parameter: Parameter): boolean {
  const rows = parameter.shape[0];
  return moduleOf(parameter).endsWith("gate") && typeof rows === "number" && rows <= 256;
}
