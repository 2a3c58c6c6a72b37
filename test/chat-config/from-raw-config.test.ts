import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PreparedChatConfig } from "../../src/chat-config/prepare-chat-config.ts";
import { prepareChatConfig } from "../../src/chat-config/prepare-chat-config.ts";
import { writeChatConfig } from "../../src/chat-config/write-chat-config.ts";
import { MlcConvertError } from "../../src/core/errors.ts";
import { isObject, parseJson } from "../../src/core/json.ts";
import { deriveForChatConfig } from "../../src/plan/chat-derivation.ts";
import { detectArchitecture } from "../../src/plan/detect-architecture.ts";
import { architectureOf } from "../../src/plan/registry.ts";
import type { GoldenCase } from "./golden-case.ts";
import { expectedFiles, goldenCases, layOut, otherFiles } from "./golden-case.ts";

const AUTOMATIC = Symbol("no template named");

/** Everything that `gen-config` does with a folder: detect, derive twice, generate. */
async function generate(
  golden: GoldenCase,
  folder: string,
  convTemplate: string | typeof AUTOMATIC = golden.conv_template,
): Promise<PreparedChatConfig> {
  const config = parseJson(golden.inputs["config.json"] ?? "", { duplicates: "last-wins" });
  if (!isObject(config)) throw new Error(`${golden.id}: config.json is no object`);
  const asked = golden.model_type_argument === "auto" ? undefined : golden.model_type_argument;
  const architecture = await architectureOf((await detectArchitecture(config, asked)).key);
  const overrides = new Map(Object.entries(golden.overrides));
  const { fields } = deriveForChatConfig(architecture, config, overrides);
  return prepareChatConfig({
    model: {
      modelType: architecture.key,
      modelConfig: fields,
      modelTask: architecture.modelTask,
      embeddingMetadata: architecture.embeddingMetadata,
    },
    quantization: golden.quantization,
    folder,
    ...(convTemplate === AUTOMATIC ? {} : { convTemplate }),
    modelName: golden.id,
  });
}

const cases = goldenCases();

const REFUSALS: Readonly<Record<string, string>> = {
  "error-context-zero": "E_CONTEXT_UNKNOWN",
  "error-duplicate-added-token": "E_DUPLICATE_TOKEN",
  "error-missing-field": "E_CONFIG_FIELD_MISSING",
  "error-no-context": "E_CONTEXT_UNKNOWN",
  "error-no-model-type": "E_MODEL_TYPE_MISSING",
  "error-normalizer-without-type": "E_TOKENIZER_JSON",
  "error-parallel-stages-range": "E_CONFIG_CONSTRAINT",
  "error-unknown-model-type": "E_UNKNOWN_ARCHITECTURE",
  "error-unregistered-template": "E_CONV_TEMPLATE",
};

describe("generating from the raw config.json", () => {
  for (const golden of cases.filter(({ expected }) => expected !== null)) {
    it(`gives upstream's files for ${golden.id}`, async () => {
      const folder = await layOut(golden);
      const out = join(dirname(folder), "out");
      await writeChatConfig(await generate(golden, folder), out);
      expect(await readFile(join(out, "mlc-chat-config.json"), "utf8")).toBe(golden.expected);
      expect(await otherFiles(out)).toEqual(expectedFiles(golden));
    });
  }

  for (const golden of cases.filter(({ expected }) => expected === null)) {
    it(`refuses ${golden.id}, as upstream refuses it`, async () => {
      const failed = generate(golden, await layOut(golden));
      await expect(failed).rejects.toMatchObject({ code: REFUSALS[golden.id] });
      await expect(failed).rejects.toBeInstanceOf(MlcConvertError);
    });
  }

  it("chooses a template for every case when none is named, and says why", async () => {
    for (const golden of cases.filter(({ expected }) => expected !== null)) {
      const { template, notices } = await generate(golden, await layOut(golden), AUTOMATIC);
      expect(template.origin, golden.id).not.toBe("given");
      expect(notices.join("\n"), golden.id).toContain(
        `Conversation template ${template.conversation.name} (`,
      );
    }
  }, 60_000);

  it("has looked at every recorded case", () => {
    expect(cases).toHaveLength(95);
  });
});
