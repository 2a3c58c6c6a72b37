import { PlanError } from "../../core/errors.ts";
import { isArray, isObject, type Json, type JsonObject } from "../../core/json.ts";
import { PRE_TOKENIZERS } from "../../core/pre-tokenizers.ts";

/** How words were split before merging, as tokenizer.json says it. */
type Step =
  | { readonly kind: "split"; readonly regex: string }
  | { readonly kind: "digits" }
  | { readonly kind: "bytes"; readonly regex: boolean };

/**
 * The name under which loaders know the pre-tokenizer of a byte-level BPE tokenizer.json. It is told by structure:
 * a wrong name would tokenize wrongly without a word, so what is not recognised is refused.
 * @throws {PlanError} `E_GGUF_PRE_TOKENIZER`
 */
export function preTokenizerName(tokenizer: JsonObject): string {
  const model = tokenizer.get("model");
  const ignoreMerges = isObject(model) && model.get("ignore_merges") === true;
  const steps = stepsOf(tokenizer.get("pre_tokenizer"));
  const name = steps && nameOf(steps, ignoreMerges);
  if (name !== undefined) return name;
  throw new PlanError(
    "E_GGUF_PRE_TOKENIZER",
    "the pre-tokenizer in tokenizer.json is none that GGUF loaders are known to have",
    { hint: "name it yourself with --pre-tokenizer if you know which one the loader must use" },
  );
}

function nameOf(steps: readonly Step[], ignoreMerges: boolean): string | undefined {
  const [first, second, ...rest] = steps;
  if (rest.length > 0 || first === undefined) return undefined;
  if (first.kind === "bytes") return first.regex && second === undefined ? "gpt-2" : undefined;
  if (second?.kind !== "bytes") return undefined;
  if (first.kind === "digits") return second.regex ? "starcoder" : undefined;
  if (second.regex) return undefined;
  return PRE_TOKENIZERS.find((known) => known.regex === first.regex && known.ignoreMerges === ignoreMerges)
    ?.name;
}

/** Components front to back; `undefined` if one of them is of no known kind. */
function stepsOf(value: Json | undefined): readonly Step[] | undefined {
  if (!isObject(value)) return undefined;
  const steps: Step[] = [];
  switch (value.get("type")) {
    case "Sequence": {
      const parts = value.get("pretokenizers");
      if (!isArray(parts)) return undefined;
      for (const part of parts) {
        const inner = stepsOf(part);
        if (inner === undefined) return undefined;
        steps.push(...inner);
      }
      return steps;
    }
    case "Split": {
      const pattern = value.get("pattern");
      const regex = isObject(pattern) ? pattern.get("Regex") : undefined;
      return typeof regex === "string" ? [{ kind: "split", regex }] : undefined;
    }
    case "Digits":
      return value.get("individual_digits") === true ? [{ kind: "digits" }] : undefined;
    case "ByteLevel":
      return [{ kind: "bytes", regex: value.get("use_regex") !== false }];
    default:
      return undefined;
  }
}
