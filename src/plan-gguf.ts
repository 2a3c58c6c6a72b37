import { basename } from "node:path";
import { openConfigFolder } from "./chat-config/config-folder.ts";
import { PlanError, UsageError } from "./core/errors.ts";
import { type GgufMetadata, ggufString } from "./core/gguf.ts";
import { type GgufFileLayout, layoutGguf } from "./gguf/layout.ts";
import { type GgufShards, ggufShards } from "./gguf/shards.ts";
import type { OpenedModel } from "./open-model.ts";
import { ggufModelName } from "./plan/gguf/metadata.ts";
import { ggufMixtureOf } from "./plan/gguf/mixture.ts";
import { ggufOutputPlan, isWeight } from "./plan/gguf/output-plan.ts";
import { type GgufPlan, planGguf } from "./plan/gguf/plan.ts";
import type { TokenizerFiles } from "./plan/gguf/tokenizer-files.ts";
import type { Plan } from "./plan/plan.ts";
import { refuseForeignQuantization } from "./plan/source-checks.ts";
import type { ConversionRequest } from "./plan-model.ts";

/** A GGUF model that is to be written: its plan, its shards, and the rest of its files. */
export interface PlannedGguf extends GgufShards {
  readonly plan: Plan;
}

/** Options that only the MLC format has. */
const MLC_ONLY = ["modelType", "ftArch", "preshard", "rank"] as const;

/**
 * Plans the GGUF form of a model that is open. The tokenizer is part of the file; for a model whose files are not
 * on this machine yet it is left out, which changes no tensor.
 * @throws {PlanError} `E_GGUF_…` where the model cannot be expressed
 * @throws {UsageError} for quantizations and options that GGUF does not have
 */
export async function planGgufModel(model: OpenedModel, request: ConversionRequest): Promise<PlannedGguf> {
  refuseMlcOptions(request);
  const mixture = ggufMixtureOf(request.quantization);
  const { checkpoint, config } = model;
  refuseForeignQuantization(config, mixture, false);
  const tokenizer = takenOver(model);
  const gguf = planGguf({
    files: await tokenizerFiles(model),
    sources: checkpoint,
    mixture,
    name: ggufString(model.ggufMetadata?.get("general.name")) ?? ggufModelName(basename(model.origin.id)),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(request.preTokenizer === undefined ? {} : { preTokenizer: request.preTokenizer }),
  });
  const architecture = ggufString(gguf.metadata.get("general.architecture")) ?? "";
  const plan = ggufOutputPlan({ gguf, checkpoint, mixture, architecture });
  const files = layoutGguf({
    fileName: request.fileName ?? `${basename(model.origin.id)}-${mixture.name}.gguf`,
    metadata: gguf.metadata,
    tensors: gguf.tensors,
    ...(request.splitMaxSize === undefined ? {} : { splitMaxBytes: request.splitMaxSize }),
  });
  if (request.fileName !== undefined) refuseParts(files, request.fileName);
  return { plan, ...ggufShards(files, contentsOf(gguf, plan)) };
}

function refuseMlcOptions(request: ConversionRequest): void {
  const given = MLC_ONLY.filter((name) => request[name] !== undefined);
  if (given.length === 0) return;
  throw new UsageError("E_OPTION", `GGUF files have no ${given.join(", ")}`, {
    hint: "leave these options out, or convert to the MLC format",
  });
}

/** Several files cannot take the place of one at once; a folder can. */
function refuseParts(files: readonly GgufFileLayout[], fileName: string): void {
  if (files.length === 1) return;
  throw new UsageError(
    "E_OPTION",
    `the model has ${files.length} parts of that size, but ${fileName} is one file`,
    {
      hint: "name a folder as output",
    },
  );
}

/** The tokenizer of a GGUF source as it is, or none yet for a model that is still on the hub. */
function takenOver({ ggufMetadata, folder }: OpenedModel): GgufMetadata | undefined {
  return ggufMetadata ?? (folder === undefined ? new Map() : undefined);
}

async function tokenizerFiles({ folder, config, ggufMetadata }: OpenedModel): Promise<TokenizerFiles> {
  if (folder === undefined || ggufMetadata) return { config };
  const files = await openConfigFolder(folder);
  const tokenizerJson = await files.readObject("tokenizer.json");
  const tokenizerConfig = await files.readObject("tokenizer_config.json");
  const addedTokens = await files.readObject("added_tokens.json");
  const chatTemplate = files.has("chat_template.jinja")
    ? await files.readText("chat_template.jinja")
    : (await files.readObject("chat_template.json"))?.get("chat_template");
  return {
    config,
    ...(tokenizerJson ? { tokenizerJson } : {}),
    ...(tokenizerConfig ? { tokenizerConfig } : {}),
    ...(addedTokens ? { addedTokens } : {}),
    ...(files.has("tokenizer.model") ? { tokenizerModel: await files.readBytes("tokenizer.model") } : {}),
    ...(typeof chatTemplate === "string" ? { chatTemplate } : {}),
  };
}

function contentsOf({ tensors }: GgufPlan, plan: Plan): Parameters<typeof ggufShards>[1] {
  const numbers = new Map<number, number>();
  for (const [index, tensor] of tensors.entries()) if (isWeight(tensor)) numbers.set(index, numbers.size);
  return {
    tensorOf: (index) => numbers.get(index),
    rowsOf: (index) => {
      const tensor = plan.tensors[numbers.get(index) ?? -1];
      return tensor?.value.gather.outer === 1 ? tensor.rows : undefined;
    },
    constantOf: (index) => {
      const tensor = tensors[index];
      if (tensor && !isWeight(tensor)) return littleEndian(tensor.constant);
      throw new PlanError("E_GGUF_TENSORS", `tensor ${index} is no constant`);
    },
  };
}

function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(values.length * 4));
  for (const [at, value] of values.entries()) bytes.setFloat32(at * 4, value, true);
  return new Uint8Array(bytes.buffer);
}
