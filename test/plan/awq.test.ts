import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../../src/convert.ts";
import { isObject, type JsonObject } from "../../src/core/json.ts";
import { awqObstacle } from "../../src/plan/awq.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import { schemeOf } from "../../src/plan/scheme.ts";
import { sourceParameters } from "../../src/plan/source-parameters.ts";
import { supportMatrix } from "../../src/plan/support-matrix.ts";
import { planConversion } from "../../src/plan-conversion.ts";
import { buildGoldenCase, readGoldenCase } from "../support/golden-case.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { readGolden, registry } from "./reference-tables.ts";

function member(object: JsonObject, name: string): JsonObject {
  const value = object.get(name);
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
}

const cases = [...readGolden("cases.json")].map(([id, entry]) => ({ id, entry: entry as JsonObject }));

/** Parameters of the first recorded config of an architecture. */
async function tableOf(key: string, id: string) {
  const architecture = await architectureOf(key);
  const entry = cases.find((one) => one.id === id)?.entry;
  if (entry === undefined) throw new Error(`no case ${id}`);
  const derived = architecture.derive(member(entry, "config"));
  return { architecture, derived, parameters: architecture.parameters(derived) };
}

const inAwq = ({ architecture, derived }: Awaited<ReturnType<typeof tableOf>>) =>
  sourceParameters({
    architecture,
    derived,
    scheme: schemeOf("q4f16_autoawq"),
    format: "awq",
    tensors: new Map(),
  });

/** The recorded AWQ checkpoint, its config with other members, and what becomes of it. */
async function checkpointWith(more: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await tempFolder();
  const golden = await readGoldenCase(new URL("../golden/cases/awq-llama-0.json", import.meta.url));
  await buildGoldenCase(golden, folder);
  const file = join(folder, "config.json");
  const config = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...config, ...more }));
  return folder;
}

describe("AWQ by rule", () => {
  it("is offered only where every recorded config of the architecture can be taken by it", async () => {
    for (const { key, beyondUpstream } of await supportMatrix()) {
      const own = cases.filter(({ id }) => id === `tp-${key}` || id === `${key}-0` || id === `${key}-1`);
      if (beyondUpstream.length === 0 || key === "minicpm") continue;
      expect(own.length, key).toBeGreaterThan(0);
      for (const { id } of own) {
        const { parameters } = await tableOf(key, id);
        expect(awqObstacle(parameters), id).toBeUndefined();
      }
    }
  });

  it("is not what upstream has already", async () => {
    for (const { key, beyondUpstream, schemes } of await supportMatrix()) {
      const upstream = ["llama", "olmo", "eagle"].includes(key);
      if (upstream) expect([beyondUpstream, schemes.includes("q4f16_autoawq")], key).toEqual([[], true]);
      expect(registry[key], key).toBeDefined();
    }
  });

  it.each([
    ["mixtral", "mixtral-0", "experts"],
    ["gpt2", "gpt2-0", "permute"],
    ["gpt_neox", "gpt_neox-0", "reshape"],
    ["internlm2", "tp-internlm2", "concat"],
    ["rwkv5", "rwkv5-0", "divide-pow2"],
    ["llava", "llava-1", "final layer"],
  ])("is refused for %s, with the reason", async (key, id, reason) => {
    const table = await tableOf(key, id);
    expect(() => inAwq(table)).toThrow(`${key} cannot be converted to q4f16_autoawq`);
    expect(awqObstacle(table.parameters)).toContain(reason);
  });

  it("is refused for a config with experts of an architecture that also comes without", async () => {
    const table = await tableOf("minicpm", "minicpm-1");
    expect(() => inAwq(table)).toThrow("stacked");
  });

  it.each([
    ["qwen2", "self_attn.c_attn", "self_attn.qkv_proj"],
    ["qwen3", "self_attn.c_attn", "self_attn.qkv_proj"],
    ["mistral", "self_attn.qkv_proj", "self_attn.qkv_proj"],
    ["nemotron", "self_attn.qkv_proj", "self_attn.qkv_proj"],
  ])("joins the words of %s as it does those of llama", async (key, module, same) => {
    const wide = { hidden_size: 256, intermediate_size: 256, head_dim: 128, num_attention_heads: 2 };
    const config = new Map(Object.entries({ ...wide, num_key_value_heads: 2, num_hidden_layers: 1 }));
    const values = async (of: string, name: string) => {
      const entry = cases.find(({ id }) => id === `tp-${of}` || id === `${of}-0`)?.entry;
      if (entry === undefined) throw new Error(`no case of ${of}`);
      const architecture = await architectureOf(of);
      const derived = architecture.derive(new Map([...member(entry, "config"), ...config]));
      const { parameters } = inAwq({ architecture, derived, parameters: [] });
      const prefix = parameters.find((one) => one.name.includes(`layers.0.${name}.qweight`));
      expect(prefix, `${of} ${name}`).toBeDefined();
      return parameters
        .filter((one) => one.name.includes(`layers.0.${name}.`) && one.kind === "raw")
        .map(({ shape, dtype, value }) => ({ shape, dtype, value }));
    };
    const found = await values(key, module);
    expect(found).toHaveLength(3);
    expect(found).toEqual(await values("llama", same));
  });

  it("gives mistral the bytes that llama gets from the same checkpoint, with a notice", async () => {
    const outputs = await Promise.all(
      ["llama", "mistral"].map(async (type) => {
        const folder = await checkpointWith({ model_type: type, sliding_window: null });
        const output = join(await tempFolder(), "out");
        await mkdir(output, { recursive: true });
        const report = await convert({
          model: folder,
          source: join(folder, "model.safetensors"),
          quantization: "q4f16_autoawq",
          output: join(output, "model"),
          sync: false,
          weightsOnly: true,
        });
        return { report, index: await readFile(join(output, "model", "tensor-cache.json"), "utf8") };
      }),
    );
    const [llama, mistral] = outputs;
    expect(mistral?.index).toBe(llama?.index);
    expect(llama?.report.notices.join()).not.toContain("upstream has no AWQ");
    expect(mistral?.report.notices.join()).toContain("upstream has no AWQ for mistral");
  });
});

/** What the config class of qwen3 wants besides llama's fields. */
const QWEN3 = {
  hidden_act: "silu",
  attention_bias: false,
  tie_word_embeddings: false,
  head_dim: 32,
  rope_theta: 10000,
};

describe("a checkpoint that is quantized already", () => {
  it.each(["gptq", "bitsandbytes", "fp8", "compressed-tensors", "mxfp4", "awq", "hqq", "eetq", "quanto"])(
    "with %s is refused by a scheme that does not read it, naming quantization_config",
    async (method) => {
      for (const type of ["llama", "qwen3", "mistral"]) {
        const model = await checkpointWith({
          ...QWEN3,
          model_type: type,
          quantization_config: { quant_method: method },
        });
        const plan = planConversion({
          model,
          quantization: "q4f16_1",
          sourceFormat: "huggingface-safetensor",
        });
        const error = await plan.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error, `${type} ${method}`).toMatchObject({
          code: expect.stringMatching(/^E_(ALREADY_QUANTIZED|QUANTIZATION_CONFIG)$/),
          message: expect.stringContaining("quantization_config"),
        });
        expect(String(error)).toContain(method);
      }
    },
  );
});
