import { describe, expect, it } from "vitest";
import { isObject, type JsonObject } from "../../src/core/json.ts";
import type { SourceFormat } from "../../src/core/tensor-info.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { schemeOf } from "../../src/plan/scheme.ts";
import { sourceParameters } from "../../src/plan/source-parameters.ts";
import { sourceNames } from "../../src/plan/table.ts";
import { readGolden } from "./reference-tables.ts";

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const stored = [...readGolden("stored-weights.json")].map(([id, entry]) => ({
  id,
  entry: entry as JsonObject,
}));

function member(object: JsonObject, name: string): JsonObject {
  const value = object.get(name);
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
}

function shapesOf(entry: JsonObject): Shapes {
  const tensors = [...member(entry, "tensors")];
  return new Map(tensors.map(([name, shape]) => [name, { shape: shape as readonly number[] }]));
}

async function parametersOf(entry: JsonObject, scheme: string, tensors: Shapes = shapesOf(entry)) {
  const architecture = await architectureOf(String(entry.get("architecture")));
  const derived = architecture.derive(member(entry, "config"));
  const format = String(entry.get("sourceFormat")) as SourceFormat;
  return sourceParameters({ architecture, derived, scheme: schemeOf(scheme), format, tensors });
}

const conversions = stored.flatMap(({ id, entry }) =>
  [...member(entry, "conversions")].map(([scheme, tensors]) => ({ id, entry, scheme, tensors })),
);

describe("weights taken as stored", () => {
  it.each(conversions)(
    "of $id become upstream's tensors with $scheme",
    async ({ entry, scheme, tensors }) => {
      const { parameters } = await parametersOf(entry, scheme);
      const model = schemeOf(scheme).modelDType;
      const found = parameters.map(({ name, dtype, shape }) => [name, dtype ?? model, shape] as const);
      const rows =
        shapesOf(entry).get("model.embed_tokens.weight") ?? shapesOf(entry).get("embed_tokens.weight");
      const real = found.map(([name, dtype, shape]) => [
        name,
        dtype,
        shape.map((extent) => (extent === "vocab" ? rows?.shape[0] : extent)),
      ]);
      expect(real.sort()).toEqual([...(tensors as readonly (readonly unknown[])[])].sort());
      const names = new Set(shapesOf(entry).keys());
      const missing = parameters.flatMap((one) => sourceNames(one.value)).filter((name) => !names.has(name));
      expect(missing).toEqual([]);
    },
  );

  const entryOf = (id: string): JsonObject => {
    const hit = stored.find((one) => one.id === id);
    if (hit === undefined) throw new Error(`${id} is missing`);
    return hit.entry;
  };

  it("of an fp8 checkpoint are refused for other schemes", async () => {
    await expect(parametersOf(entryOf("fp8block-qwen3"), "q4f16_1")).rejects.toThrow("fp8 checkpoint");
  });

  it("are refused with a block size that does not divide the heads' rows", async () => {
    const entry = entryOf("fp8block-deepseek_v3");
    const config = new Map([...member(entry, "config"), ["qk_nope_head_dim", 40]]);
    const changed = new Map([...entry, ["config", config]]);
    await expect(parametersOf(changed, "fp8_e4m3fn_bf16_block_scale")).rejects.toThrow(
      "divisible by the block size",
    );
  });

  it("need static activation scales only where the architecture reads them", async () => {
    const scheme = "fp8_e4m3fn_bf16_block_scale_static_activation";
    await expect(parametersOf(entryOf("fp8block-qwen3"), scheme)).rejects.toThrow("cannot be converted");
  });

  it("keep equal shares of rows for single-number scales of fused parts", async () => {
    const entry = entryOf("fp8block-ministral3");
    const scalars = [...shapesOf(entry)].map(([name, { shape }]) => {
      const scalar = /[qkv]_proj\.weight_scale_inv$/.test(name);
      return [name, { shape: scalar ? [] : shape }] as const;
    });
    const config = new Map([...member(entry, "config"), ["num_key_value_heads", 4]]);
    const changed = new Map([...entry, ["config", config]]);
    const { parameters } = await parametersOf(changed, "fp8_e4m3fn_bf16_block_scale", new Map(scalars));
    const scale = parameters.find(
      ({ name }) => name === "model.layers.0.self_attn.qkv_proj.weight_scale_inv",
    );
    expect(scale?.shape).toEqual([12, 3]);
    expect(scale?.value).toMatchObject({
      op: "reshape",
      shape: [12, 3],
      of: { op: "broadcast", shape: [3, 4, 3] },
    });
  });

  it("with scales of a shape that fits no rule are refused", async () => {
    const entry = entryOf("fp8block-ministral3");
    const odd = [...shapesOf(entry)].map(([name, { shape }]) => {
      return [name, { shape: name.endsWith("down_proj.weight_scale_inv") ? [2, 5] : shape }] as const;
    });
    const scheme = "fp8_e4m3fn_bf16_block_scale";
    await expect(parametersOf(entry, scheme, new Map(odd))).rejects.toThrow("do not fit [3, 5]");
  });

  it("in AWQ form are refused for other schemes, and other forms for the AWQ scheme", async () => {
    const entry = entryOf("awq-llama-0");
    await expect(parametersOf(entry, "q4f16_1")).rejects.toThrow("AWQ checkpoint");
    const plain = new Map([...entry, ["sourceFormat", "huggingface-safetensor"]]);
    await expect(parametersOf(plain, "q4f16_autoawq")).rejects.toThrow("takes AWQ checkpoints only");
  });

  it("in another AWQ layout are refused", async () => {
    const entry = entryOf("awq-llama-0");
    const config = new Map([
      ...member(entry, "config"),
      ["quantization_config", new Map([["version", "gemv"]])],
    ]);
    const changed = new Map([...entry, ["config", config]]);
    await expect(parametersOf(changed, "q4f16_autoawq")).rejects.toThrow('expected gemm, found "gemv"');
  });
});

describe("a scheme that an architecture lacks", () => {
  it("is refused with the ones that it has", async () => {
    const entry = new Map([...(stored[0]?.entry ?? []), ["architecture", "medusa"]]);
    const config = new Map([
      ["medusa_num_heads", 1],
      ["medusa_num_layers", 1],
      ["hidden_size", 8],
      ["vocab_size", 8],
    ]);
    const wanted = parametersOf(new Map([...entry, ["config", config]]), "q4f16_1");
    await expect(wanted).rejects.toMatchObject({
      code: "E_UNSUPPORTED_QUANTIZATION",
      hint: "medusa supports q0f16, q0bf16, q0f32",
    });
  });
});

describe("a text-only checkpoint without the wrapper's prefix", () => {
  it("is read under its own names, with a notice", async () => {
    const architecture = await architectureOf("qwen3_5_text");
    const cases = readGolden("cases.json");
    const derived = architecture.derive(member(member(cases, "qwen3_5_text-0"), "config"));
    const names = architecture.parameters(derived).flatMap((one) => sourceNames(one.value));
    const plain = names.map((name) => name.replace("model.language_model.", "model."));
    const tensors = new Map(plain.map((name) => [name, { shape: [] }]));
    const scheme = schemeOf("q0f16");
    const found = sourceParameters({
      architecture,
      derived,
      scheme,
      format: "huggingface-safetensor",
      tensors,
    });
    expect(found.notices).toHaveLength(1);
    expect(new Set(found.parameters.flatMap((one) => sourceNames(one.value)))).toEqual(new Set(plain));
  });
});
