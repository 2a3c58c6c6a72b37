import { PlanError } from "../core/errors.ts";
import { activationScale, looseScale, type ShapeOf } from "./loose-scales.ts";
import { isFinalLayer, isGate, moduleOf } from "./node-rules.ts";
import type { Expression, Extent, Parameter, ShardStrategy } from "./parameter.ts";
import { mapSources, source } from "./table.ts";

/** How a block-scaled fp8 checkpoint is read. */
export interface BlockScaleOptions {
  /** Rows and columns that share a scale. */
  readonly block: readonly [rows: number, columns: number];
  /** Take scales of activations too. */
  readonly staticActivation: boolean;
  /** Scales may be single numbers, or one for each fused part (`looseScales` of the architecture). */
  readonly loose: boolean;
  /** Shapes of the checkpoint's tensors; undefined for a tensor that it lacks. */
  readonly shapeOf: ShapeOf;
}

/**
 * The parameters of a model whose weights are taken as stored in fp8, with a scale for every block
 * (architectures.md §2.46). Nothing is multiplied: scales go the same way as their weights.
 * @param parameters those of the unquantized model
 * @throws {PlanError} `E_BLOCK_SHAPE` or `E_SCALE_SHAPE` if blocks or scales do not fit
 */
export function blockScaleParameters(
  parameters: readonly Parameter[],
  options: BlockScaleOptions,
): readonly Parameter[] {
  return parameters.flatMap((one) => {
    if (isLatentSplit(one)) return latentPieces(one, options);
    if (one.kind === "experts") return [inFp8(one), weightScale(one, options)];
    const plain = one.kind !== "linear" || one.noQuant === true || isFinalLayer(one) || isGate(one);
    return plain ? [one] : linearPieces(one, options);
  });
}

/** The halves of `kv_b_proj` that latent attention keeps besides the whole. */
const isLatentSplit = ({ kind, name }: Parameter): boolean => kind === "raw" && /\.w_u[kv]$/.test(name);

const inFp8 = (parameter: Parameter): Parameter => ({ ...parameter, dtype: "float8_e4m3fn" });

const scaleSource = (name: string): Expression => source(`${name}_scale_inv`);

function linearPieces(parameter: Parameter, options: BlockScaleOptions): readonly Parameter[] {
  const pieces = [inFp8(parameter), weightScale(parameter, options)];
  return options.staticActivation ? [...pieces, activationPiece(parameter, options)] : pieces;
}

function weightScale(parameter: Parameter, { block, loose, shapeOf }: BlockScaleOptions): Parameter {
  const shape = blocksOf(parameter, block);
  const value = mapSources(parameter.value, scaleSource);
  return {
    name: `${parameter.name}_scale_inv`,
    kind: "raw",
    dtype: "float32",
    shape,
    value: loose ? looseScale(value, { name: parameter.name, shape, shapeOf }) : value,
    ...scaleShard(parameter, block, "_scale_inv"),
  };
}

function activationPiece(parameter: Parameter, { block, shapeOf }: BlockScaleOptions): Parameter {
  const shape = blocksOf(parameter, block).slice(-1);
  const name = `${moduleOf(parameter)}.activation_scale`;
  return {
    name,
    kind: "raw",
    dtype: "float32",
    shape,
    value: activationScale(parameter.value, { name, shape, shapeOf }),
    ...(parameter.shard && {
      shard: { ...parameter.shard, name: `${parameter.shard.name}_activation_scale` },
    }),
  };
}

/** [..., rows, columns] in blocks, rounded up. */
function blocksOf(parameter: Parameter, block: readonly [number, number]): readonly number[] {
  const extents = parameter.shape.map((extent) => numeric(parameter, extent));
  const outer = extents.slice(0, -2);
  return [...outer, ...extents.slice(-2).map((extent, k) => Math.ceil(extent / (block[k] ?? 1)))];
}

function numeric(parameter: Parameter, extent: Extent): number {
  if (typeof extent === "number") return extent;
  throw new PlanError(
    "E_BLOCK_SHAPE",
    `${parameter.name}: its number of rows must be known for block scales`,
  );
}

function scaleShard(
  { shard, shape }: Parameter,
  block: readonly [number, number],
  suffix: string,
): { readonly shard?: ShardStrategy } {
  if (shard === undefined) return {};
  const size = block[shard.dim - (shape.length - 2)] ?? 1;
  const segments = shard.segments?.map((segment) => Math.floor(segment / size));
  return { shard: { name: shard.name + suffix, dim: shard.dim, ...(segments && { segments }) } };
}

/**
 * A half of `kv_b_proj` and its scale, which is split the same way with every extent divided by the block size.
 * The keys' half is transposed, so its last axis counts rows of the stored weight.
 */
function latentPieces(parameter: Parameter, { block }: BlockScaleOptions): readonly Parameter[] {
  const transposed = parameter.value.op === "permute";
  const [heads, ...extents] = parameter.shape.map((extent) => numeric(parameter, extent));
  const sizes = transposed ? [block[1], block[0]] : block;
  const rows = extents[transposed ? 1 : 0] ?? 0;
  // Upstream asks for the values' rows to be divisible by the columns of a block.
  const needed = transposed ? block[0] : block[1];
  if (rows % needed !== 0) {
    throw new PlanError(
      "E_BLOCK_SHAPE",
      `${parameter.name}: a head has ${rows} rows, which must be divisible by the block size ${needed}`,
    );
  }
  const scale: Parameter = {
    name: `${parameter.name}_scale_inv`,
    kind: "raw",
    dtype: "float32",
    shape: [heads ?? 0, ...extents.map((extent, k) => Math.floor(extent / (sizes[k] ?? 1)))],
    value: inBlocks(mapSources(parameter.value, scaleSource), block),
    ...(parameter.shard && { shard: { ...parameter.shard, name: `${parameter.shard.name}_scale_inv` } }),
  };
  return [inFp8(parameter), scale];
}

function inBlocks(value: Expression, [b0, b1]: readonly [number, number]): Expression {
  if (value.op === "permute") return { ...value, of: inBlocks(value.of, [b0, b1]) };
  if (value.op === "slice") {
    const of = inBlocks(value.of, [b0, b1]);
    return { ...value, of, start: Math.floor(value.start / b0), end: Math.floor(value.end / b0) };
  }
  if (value.op === "reshape") {
    const [heads = 0, rows = 0, columns = 0] = value.shape;
    return { ...value, shape: [heads, Math.floor(rows / b0), Math.floor(columns / b1)] };
  }
  return value;
}
