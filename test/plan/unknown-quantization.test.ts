import { expect, it } from "vitest";
import { ggufMixtureOf } from "../../src/plan/gguf/mixture.ts";
import { schemeOf } from "../../src/plan/scheme.ts";
import { failureOf } from "../support/failure-of.ts";

it.each([
  [schemeOf, "q4f16-1", "did you mean q4f16_1? choose one of q0f16, "],
  [schemeOf, "Q4F16_1", "did you mean q4f16_1? choose one of q0f16, "],
  [schemeOf, "Q4_K_M", "for a GGUF quantization give --format gguf, or choose one of q0f16, "],
  [schemeOf, "nonsense", "choose one of q0f16, "],
  [ggufMixtureOf, "q4_k_n", "did you mean Q4_K_S? choose one of F32, "],
  [ggufMixtureOf, "q4f16_1", "for a quantization of MLC-LLM leave --format gguf out, or choose one of F32, "],
])("%o hints at what %s was meant to be", async (find, name, hint) => {
  const error = await failureOf(() => find(name));
  expect(error.code).toBe("E_UNKNOWN_QUANTIZATION");
  expect(error.hint?.slice(0, hint.length)).toBe(hint);
});
