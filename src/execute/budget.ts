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
  const needed = Math.ceil((BASE_BYTES + threads * LANE_BYTES) / MIB);
  throw new PlanError(
    "E_MEMORY",
    `${threads} threads need at least ${needed} MiB, allowed are ${Math.floor(maxMemory / MIB)} MiB`,
    { hint: "raise --max-memory or lower --threads" },
  );
}
