import { expect, it } from "vitest";
import { ggufMixtureOf } from "../../src/plan/gguf/mixture.ts";
import { schemeOf } from "../../src/plan/scheme.ts";

const hintOf = (find: () => unknown): string => {
  try {
    find();
  } catch (error) {
    expect(error).toMatchObject({ code: "E_UNKNOWN_QUANTIZATION" });
    return (error as { hint: string }).hint;
  }
  return expect.fail("expected an error, found none");
};

it.each([
  [schemeOf, "q4f16-1", "did you mean q4f16_1? choose one of q0f16, "],
  [schemeOf, "Q4F16_1", "did you mean q4f16_1? choose one of q0f16, "],
  [schemeOf, "Q4_K_M", "for a GGUF quantization give --format gguf, or choose one of q0f16, "],
  [schemeOf, "nonsense", "choose one of q0f16, "],
  [ggufMixtureOf, "q4_k_n", "did you mean Q4_K_S? choose one of F32, "],
  [ggufMixtureOf, "q4f16_1", "for a quantization of MLC-LLM leave --format gguf out, or choose one of F32, "],
])("%o hints at what %s was meant to be", (find, name, hint) => {
  expect(hintOf(() => find(name)).slice(0, hint.length)).toBe(hint);
});
