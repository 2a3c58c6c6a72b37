import { PlanError } from "../core/errors.ts";

/** How a run divides processors and memory. */
export interface Budget {
  readonly threads: number;
  readonly lanes: number;
  readonly tileBytes: number;
}

const MIB = 2 ** 20;
/** What the process holds besides the lanes: the JavaScript heap, stacks, the plan. */
const BASE_BYTES = 96 * MIB;
/** Tiles, scratch and the scales that are kept for the tensor behind the words. */
const LANE_BYTES = 5 * MIB;
const MAX_LANES = 16;
const TILE_BYTES = 128 * 1024;

/** Memory that a run may take unless told otherwise. */
export const DEFAULT_MAX_MEMORY: number = 256 * MIB;

/**
 * The most shards in flight that the memory allows.
 * @param maxMemory bytes of anonymous memory that the whole process may reach
 * @throws {PlanError} `E_MEMORY` when not even one shard a thread fits
 */
export function budgetOf(threads: number, maxMemory: number): Budget {
  const lanes = Math.min(MAX_LANES, Math.floor((maxMemory - BASE_BYTES) / (threads * LANE_BYTES)));
  if (lanes >= 1) return { threads, lanes, tileBytes: TILE_BYTES };
  throw tooLittle(threads, maxMemory, BASE_BYTES + threads * LANE_BYTES);
}

function tooLittle(threads: number, maxMemory: number, needed: number): PlanError {
  const [least, allowed] = [Math.ceil(needed / MIB), Math.floor(maxMemory / MIB)];
  return new PlanError(
    "E_MEMORY",
    `${threads} threads need at least ${least} MiB, allowed are ${allowed} MiB`,
    { hint: "raise --max-memory or lower --threads" },
  );
}

/** A GPU is worth its transfers when it is given much at once. */
const DEVICE_TILES: readonly number[] = [4 * MIB, 2 * MIB, MIB, MIB / 2, MIB / 4, TILE_BYTES];
const MAX_DEVICE_LANES = 4;
/** What a lane's buffers hold, in tiles: output, staged rows, blocks as float32. */
const LANE_TILES = 12;
/** The two pinned buffers of a thread: at most eight tiles go in and four come out, of 8 and 16 MiB. */
const pinnedBytes = (tile: number): number =>
  2 * (Math.min(8 * tile, 8 * MIB) + Math.min(4 * tile, 16 * MIB));

/**
 * The same for a run on a GPU: fewer lanes, and the largest tiles that leave room for two of them. What the
 * driver itself holds is not counted.
 * @throws {PlanError} `E_MEMORY` when not even one shard a thread fits
 */
export function deviceBudgetOf(threads: number, maxMemory: number): Budget {
  const lanesOf = (tile: number): number => {
    const perThread = (maxMemory - BASE_BYTES) / threads - pinnedBytes(tile);
    return Math.min(MAX_DEVICE_LANES, Math.floor(perThread / (LANE_BYTES + LANE_TILES * tile)));
  };
  const tileBytes = DEVICE_TILES.find((tile) => lanesOf(tile) >= 2) ?? TILE_BYTES;
  const lanes = lanesOf(tileBytes);
  if (lanes >= 1) return { threads, lanes, tileBytes };
  const least = pinnedBytes(TILE_BYTES) + LANE_BYTES + LANE_TILES * TILE_BYTES;
  throw tooLittle(threads, maxMemory, BASE_BYTES + threads * least);
}
