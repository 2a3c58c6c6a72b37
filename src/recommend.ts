import { readdir, stat } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { MlcConvertError, PlanError } from "./core/errors.ts";
import { ggufGroups, type ListedFile } from "./core/gguf-files.ts";
import { gpuMemory } from "./native/gpu-memory.ts";
import { type ModelRequest, type OpenDeps, type OpenedModel, openModel } from "./open-model.ts";
import { detectArchitecture } from "./plan/detect-architecture.ts";
import { ggufMemoryFigures, type MemoryFigures } from "./plan/gguf/memory-figures.ts";
import { ggufModelOf } from "./plan/gguf/model.ts";
import { ggufMixtureSizes } from "./plan/gguf/sizes.ts";
import { memoryFigures } from "./plan/memory-figures.ts";
import { architectureOf } from "./plan/registry.ts";
import { planModel, type TargetFormat } from "./plan-model.ts";
import { cacheProduct, memorySentence } from "./report/arithmetic.ts";
import { ggufVariants } from "./report/gguf-variants.ts";
import {
  LLAMA_CPP,
  type Machine,
  MLC_LLM,
  QUALITY_ORDER,
  type Recommendation,
  recommendVariant,
  type Variant,
} from "./report/recommend-variant.ts";

/** What the model shall run on, and how. */
export interface MemoryWishes {
  /** Main memory in bytes; default: this machine's. */
  readonly ram?: number;
  /** GPU memory in bytes, 0 for none; default: that of this machine's largest NVIDIA GPU. */
  readonly vram?: number;
  /** In tokens; default 8192, or what the model was trained for if that is less. */
  readonly context?: number;
}

export interface RecommendRequest extends ModelRequest, MemoryWishes {
  /** Overrides the architecture that config.json names. */
  readonly modelType?: string;
}

/** Where the variants of a table come from: files that exist, or quantizations that can be made. */
export type VariantKind = "existing" | TargetFormat;

/** Variants for one engine, with the one that is recommended. */
export interface Advice extends Recommendation {
  readonly kind: VariantKind;
  readonly engine: string;
  readonly shape: MemoryFigures;
  readonly context: number;
  /** How the chosen one's key-value cache multiplies up. */
  readonly cacheProduct?: string;
  /** The chosen one's memory in one sentence. */
  readonly sentence?: string;
  /** Quantizations that cannot be made of this model, and why. */
  readonly impossible: readonly { readonly quantization: string; readonly reason: string }[];
}

/** What fits on a machine. */
export interface RecommendationReport {
  readonly model: string;
  readonly machine: Machine & { readonly gpu?: string };
  readonly advice: readonly Advice[];
  /** Of several GGUF files the one that lost least: the best source for another conversion. */
  readonly bestSource?: string;
  readonly notices: readonly string[];
}

const DEFAULT_CONTEXT = 8192;

/**
 * Compares what exists of a model and what could be made of it with the memory of a machine. Reads configs,
 * headers and file lists only.
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function recommend(
  request: RecommendRequest,
  deps: OpenDeps = { onEvent: () => {} },
): Promise<RecommendationReport> {
  const { model, listing } = await openForAdvice(request, deps);
  const machine = await machineOf(request);
  const existing = ggufVariants(listing);
  const advice: Advice[] = [];
  const notices: string[] = [];
  const question: Question = { model, machine, wishes: request };
  const kinds: readonly VariantKind[] = [
    ...(existing.length > 0 ? ["existing" as const] : []),
    "gguf",
    "mlc",
  ];
  for (const kind of kinds) {
    try {
      advice.push(await adviseOn(kind, question, existing));
    } catch (error) {
      if (!(error instanceof PlanError)) throw error;
      notices.push(`${kind === "mlc" ? MLC_LLM.name : LLAMA_CPP.name}: ${error.message}`);
      if (kind === kinds.at(-1) && advice.length === 0) throw error;
    }
  }
  const best = [...existing].sort((a, b) => qualityOf(a) - qualityOf(b) || b.weightBytes - a.weightBytes)[0];
  return {
    model: model.origin.id,
    machine,
    advice,
    ...(best && existing.length > 1 ? { bestSource: best.name } : {}),
    notices: [...model.checkpoint.notices, ...notices],
  };
}

/** The place of a variant's quantization in the order of quality; unknown ones come last. */
function qualityOf({ quantization }: Variant): number {
  const at = QUALITY_ORDER.indexOf(quantization);
  return at < 0 ? QUALITY_ORDER.length : at;
}

interface Question {
  readonly model: OpenedModel;
  readonly machine: Machine;
  readonly wishes: MemoryWishes & { readonly modelType?: string };
}

async function adviseOn(
  kind: VariantKind,
  question: Question,
  existing: readonly Variant[] = [],
): Promise<Advice> {
  const { model, machine, wishes } = question;
  const engine = kind === "mlc" ? MLC_LLM : LLAMA_CPP;
  const shape = await shapeOf(kind, question);
  const { variants, impossible } =
    kind === "existing" ? { variants: existing, impossible: [] } : await ownVariants(kind, model, wishes);
  const context = wishes.context ?? Math.min(DEFAULT_CONTEXT, shape.contextLimit);
  const { contextLimit } = shape;
  const found = recommendVariant(variants, { shape, machine, context, contextLimit, engine });
  const { chosen } = found;
  return {
    kind,
    engine: engine.name,
    shape,
    context,
    impossible,
    ...found,
    ...(chosen
      ? { cacheProduct: cacheProduct(shape, chosen, engine), sentence: memorySentence(chosen) }
      : {}),
  };
}

async function shapeOf(kind: VariantKind, { model, wishes }: Question): Promise<MemoryFigures> {
  if (kind !== "mlc") return ggufMemoryFigures(ggufModelOf(model.config));
  const { key } = await detectArchitecture(model.config, wishes.modelType);
  return memoryFigures(await architectureOf(key), model.config);
}

interface OwnVariants {
  readonly variants: readonly Variant[];
  readonly impossible: Advice["impossible"];
}

async function ownVariants(
  kind: TargetFormat,
  model: OpenedModel,
  { modelType }: Question["wishes"],
): Promise<OwnVariants> {
  if (kind === "gguf") {
    const sizes = ggufMixtureSizes(model.config, model.checkpoint.tensors);
    const ranked = sizes.filter(({ quantization }) => QUALITY_ORDER.includes(quantization));
    return { variants: ranked.map((each) => ownVariant(each)), impossible: [] };
  }
  const variants: Variant[] = [];
  const impossible: { quantization: string; reason: string }[] = [];
  for (const quantization of MLC_LLM.order) {
    const request = { model: "", quantization, ...(modelType === undefined ? {} : { modelType }) };
    try {
      const { layout } = await planModel(model, request);
      variants.push(ownVariant({ quantization, nbytes: layout.nbytes }));
    } catch (error) {
      if (!(error instanceof MlcConvertError)) throw error;
      impossible.push({ quantization, reason: error.message });
    }
  }
  return { variants, impossible };
}

const ownVariant = ({ quantization, nbytes }: { quantization: string; nbytes: number }): Variant => ({
  name: quantization,
  quantization,
  weightBytes: nbytes,
});

/** Containers and services may use less than the machine has; where nothing limits them, the number is huge. */
function mainMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

async function machineOf({ ram, vram }: MemoryWishes): Promise<RecommendationReport["machine"]> {
  const main = ram ?? mainMemory();
  if (vram !== undefined) return vram > 0 ? { ram: main, vram } : { ram: main };
  const gpu = ram === undefined ? await gpuMemory() : undefined;
  return gpu ? { ram: main, vram: gpu.nbytes, gpu: gpu.name } : { ram: main };
}

/** Opens a model for its figures: of several GGUF files the smallest, since their figures are the same. */
async function openForAdvice(
  request: RecommendRequest,
  deps: OpenDeps,
): Promise<{ readonly model: OpenedModel; readonly listing: readonly ListedFile[] }> {
  const stats = await stat(request.model).catch(() => undefined);
  const acquire = { ...request.acquire, anyGguf: true };
  if (!stats) {
    const model = await openModel({ ...request, acquire }, deps);
    return { model, listing: model.listing ?? [] };
  }
  const folder = stats.isDirectory() ? resolve(request.model) : dirname(resolve(request.model));
  const all = await listFolder(folder);
  const listing = stats.isDirectory() ? all : ggufWith(all, basename(request.model));
  const opened = await openModel({ ...request, acquire }, deps).catch((error: unknown) => {
    const several = error instanceof MlcConvertError && error.code === "E_FORMAT_AMBIGUOUS";
    const [smallest] = [...ggufGroups(listing)].sort((a, b) => a.nbytes - b.nbytes);
    if (!several || !smallest) throw error;
    return openModel({ ...request, model: join(folder, smallest.name) }, deps);
  });
  return { model: opened, listing };
}

/** The files of the model that a GGUF file belongs to. */
const ggufWith = (files: readonly ListedFile[], name: string): readonly ListedFile[] =>
  ggufGroups(files).find((group) => group.files.some((file) => file.name === name))?.files ?? [];

async function listFolder(folder: string): Promise<readonly ListedFile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".gguf"));
  return Promise.all(names.map(async (name) => ({ name, size: (await stat(join(folder, name))).size })));
}

/** What was taken for `auto`. */
export interface ChosenQuantization {
  readonly quantization: string;
  /** For the user: what was taken, and the arithmetic. */
  readonly notice: string;
}

/**
 * The quantization of best quality that fits the machine.
 * @throws {PlanError} `E_NOTHING_FITS` with the arithmetic of the smallest; others where none can be made
 */
export async function chooseQuantization(
  model: OpenedModel,
  wishes: MemoryWishes & { readonly format?: TargetFormat; readonly modelType?: string },
): Promise<ChosenQuantization> {
  const machine = await machineOf(wishes);
  const advice = await adviseOn(wishes.format ?? "mlc", { model, machine, wishes });
  const { chosen, assessed, engine, impossible } = advice;
  if (chosen) {
    const { quantization } = chosen.variant;
    const notice = `-q auto takes ${quantization} for ${engine}: ${memorySentence(chosen)}.`;
    return { quantization, notice };
  }
  const smallest = assessed.at(-1);
  if (smallest) throw nothingFits(smallest.variant.quantization, memorySentence(smallest));
  const reasons = impossible.map(({ quantization, reason }) => `${quantization}: ${reason}`);
  throw new PlanError("E_NOTHING_FITS", `no quantization can be made of this model:\n${reasons.join("\n")}`, {
    hint: "name the quantization with -q",
  });
}

const nothingFits = (quantization: string, sentence: string): PlanError =>
  new PlanError("E_NOTHING_FITS", `not even ${quantization} fits: ${sentence}`, {
    hint: "take a smaller model or a shorter --context, or name the quantization with -q",
  });
