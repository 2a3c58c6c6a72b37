import { listProblems, PlanError } from "../../core/errors.ts";
import type { TensorInfo } from "../../core/tensor-info.ts";
import type { Expression } from "../parameter.ts";
import type { GgufModel } from "./model.ts";
import { ropeTensors } from "./rope.ts";
import { type BlockTensor, blockTensors } from "./tensor-names.ts";

/** One tensor of a GGUF file and where its values come from; float32 before it is encoded. */
export type GgufTensor =
  | { readonly name: string; readonly shape: readonly number[]; readonly value: Expression }
  /** Made from the config, not from weights. */
  | { readonly name: string; readonly shape: readonly number[]; readonly constant: Float32Array };

/** Source tensors: enough of each to plan with. */
export type SourceTensors = ReadonlyMap<string, Pick<TensorInfo, "shape" | "dtype">>;

/**
 * All tensors of the GGUF form of a model, from the names and shapes of its checkpoint (gguf.md, section 4).
 * @throws {PlanError} `E_GGUF_TENSORS`, listing what is missing, misshapen or unknown
 */
export function ggufTensors(model: GgufModel, sources: SourceTensors): readonly GgufTensor[] {
  const finder = new Finder(sources);
  const tensors = [...globalTensors(model, finder), ...ropeTensors(model)];
  for (let layer = 0; layer < model.layers; layer++) {
    for (const tensor of blockTensors(model)) tensors.push(...layerTensors(model, finder, { layer, tensor }));
  }
  const problems = [...finder.problems, ...finder.unread()];
  if (problems.length === 0) return tensors;
  throw new PlanError(
    "E_GGUF_TENSORS",
    `the checkpoint does not fit its config:\n${listProblems(problems)}`,
    {
      hint: "check that config.json and the weights are of one model, and of a family that GGUF knows",
    },
  );
}

/** Buffers that old checkpoints carry along; they hold no weights. */
const SKIPPED = /rotary_emb\.inv_freq$|\.attention\.(bias|masked_bias)$/;
/** The vision half of multimodal checkpoints. */
const VISION = /^(model\.)?(vision_tower|vision_model|multi_modal_projector)\./;

/** Looks source tensors up by their text model's name, whatever prefixes the checkpoint has. */
class Finder {
  readonly problems: string[] = [];
  private readonly names = new Map<string, string>();
  private readonly unreadNames: Set<string>;
  private readonly sources: SourceTensors;

  constructor(sources: SourceTensors) {
    this.sources = sources;
    this.unreadNames = new Set(
      [...sources.keys()].filter((name) => !SKIPPED.test(name) && !VISION.test(name)),
    );
    const plain = [...this.unreadNames].map((name) => [name.replace("language_model.", ""), name] as const);
    const headless = !plain.some(([name]) => name.startsWith("model."));
    for (const [name, source] of plain) {
      this.names.set(headless && !name.startsWith("lm_head.") ? `model.${name}` : name, source);
    }
  }

  has(name: string): boolean {
    return this.names.has(name);
  }

  /** Marks a tensor that is left out on purpose. */
  skip(name: string): void {
    this.unreadNames.delete(this.names.get(name) ?? name);
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.sources.get(this.names.get(name) ?? name)?.shape;
  }

  isHalf(name: string): boolean {
    return this.sources.get(this.names.get(name) ?? name)?.dtype === "float16";
  }

  /** The tensor as an expression; what is wrong with it is collected. */
  source(name: string, shape: readonly number[]): Expression {
    const source = this.names.get(name);
    const found = this.shapeOf(name);
    this.skip(name);
    if (source === undefined || found === undefined) this.problems.push(`${name}: missing`);
    else if (found.join() !== shape.join()) {
      this.problems.push(`${source}: expected [${shape.join(", ")}], found [${found.join(", ")}]`);
    }
    return { op: "source", name: source ?? name };
  }

  unread(): readonly string[] {
    return [...this.unreadNames].map((name) => `${name}: unknown to this family`);
  }
}

function globalTensors(model: GgufModel, finder: Finder): GgufTensor[] {
  const { hidden, vocab } = model;
  const tensors: GgufTensor[] = [
    { name: "token_embd.weight", shape: [vocab, hidden], value: embedding(model, finder) },
    norm(finder, model, { name: "output_norm.weight", source: "model.norm.weight", size: hidden }),
  ];
  const head = "lm_head.weight";
  const dropped = model.tied || model.architecture === "gemma" || model.architecture === "gemma2";
  if (dropped) finder.skip(head);
  else if (finder.has(head)) {
    tensors.push({
      name: "output.weight",
      shape: [vocab, hidden],
      value: finder.source(head, [vocab, hidden]),
    });
  }
  return tensors;
}

/** Gemma 3's checkpoints have rows for tokens that the tokenizer does not have. */
function embedding({ architecture, hidden, vocab }: GgufModel, finder: Finder): Expression {
  const name = "model.embed_tokens.weight";
  const rows = finder.shapeOf(name)?.[0] ?? vocab;
  if (architecture !== "gemma3" || rows <= vocab) return finder.source(name, [vocab, hidden]);
  return { op: "slice", of: finder.source(name, [rows, hidden]), axis: 0, start: 0, end: vocab };
}

/** Gemma's norms multiply by one plus the stored weight; files hold the sum. */
function norm(
  finder: Finder,
  { architecture }: GgufModel,
  { name, source, size }: { readonly name: string; readonly source: string; readonly size: number },
): GgufTensor {
  const value = finder.source(source, [size]);
  if (!architecture.startsWith("gemma")) return { name, shape: [size], value };
  // The reference converter sums in float16 where the checkpoint is float16, else in float32.
  const sum: Expression = { op: "add1", of: value, in: finder.isHalf(source) ? "source" : "float32" };
  return { name, shape: [size], value: sum };
}

function layerTensors(
  model: GgufModel,
  finder: Finder,
  { layer, tensor }: { readonly layer: number; readonly tensor: BlockTensor },
): readonly GgufTensor[] {
  const prefix = `model.layers.${layer}.`;
  const name = `blk.${layer}.${tensor.name}`;
  if (tensor.kind === "norm") {
    const source = `${prefix}${tensor.source}.weight`;
    return [norm(finder, model, { name: `${name}.weight`, source, size: tensor.size })];
  }
  if (tensor.kind === "experts") {
    const shape = [model.experts, tensor.rows, tensor.cols];
    return [{ name: `${name}.weight`, shape, value: experts(model, finder, { prefix, tensor }) }];
  }
  const rows = tensor.rows;
  const shape = [rows, tensor.cols];
  const linear = (suffix: string, extents: readonly number[]): GgufTensor => {
    const value = finder.source(`${prefix}${tensor.source}.${suffix}`, extents);
    return {
      name: `${name}.${suffix}`,
      shape: extents,
      value: tensor.heads === undefined ? value : interleaveHeads(value, extents, tensor.heads),
    };
  };
  const hasBias = finder.has(`${prefix}${tensor.source}.bias`);
  return [linear("weight", shape), ...(hasBias ? [linear("bias", [rows])] : [])];
}

/**
 * Rows of each head from [half, pair] order to [pair, half] order: the rotary embedding of llama files turns
 * neighbouring rows, that of checkpoints rows half a head apart.
 */
export function interleaveHeads(value: Expression, shape: readonly number[], heads: number): Expression {
  const [rows = 0, ...rest] = shape;
  const split: Expression = { op: "reshape", of: value, shape: [heads, 2, rows / heads / 2, ...rest] };
  const axes = rest.length === 0 ? [0, 2, 1] : [0, 2, 1, 3];
  return { op: "reshape", of: { op: "permute", of: split, axes }, shape };
}

/** One tensor per expert, stacked; or the newer checkpoints' fused tensors, taken apart. */
function experts(
  model: GgufModel,
  finder: Finder,
  {
    prefix,
    tensor,
  }: { readonly prefix: string; readonly tensor: BlockTensor & { readonly kind: "experts" } },
): Expression {
  const { rows, cols, fused } = tensor;
  const fusedName = `${prefix}${fused.source}`;
  if (!finder.has(fusedName)) {
    const parts = Array.from({ length: model.experts }, (_, expert) =>
      finder.source(`${prefix}${tensor.source(expert)}.weight`, [rows, cols]),
    );
    return { op: "stack", parts };
  }
  if (fused.half === undefined) return finder.source(fusedName, [model.experts, rows, cols]);
  const both = finder.source(fusedName, [model.experts, 2 * rows, cols]);
  return { op: "slice", of: both, axis: 1, start: fused.half * rows, end: (fused.half + 1) * rows };
}
