import { availableParallelism } from "node:os";
import { PlanError } from "../core/errors.ts";

/** How a run divides processors and memory. */
export interface Budget {
  readonly threads: number;
  /** Shards in flight. */
  readonly lanes: number;
  /** As many of them, the longest, make a chunk while another is hashed. */
  readonly ahead: number;
  /** Output bytes that are made at once. */
  readonly tileBytes: number;
  /** Memory for scales that are made with their words and stored behind them. */
  readonly keptBytes: number;
}

const MIB = 2 ** 20;
/** What the process holds besides: the JavaScript heap, stacks, the plan. */
const BASE_BYTES = 96 * MIB;
/** Tiles and scratch of one lane. */
const LANE_BYTES = 3 * MIB;
/** The second chunk of a lane that makes ahead. */
const AHEAD_BYTES = 2 * MIB;
/** Few shards are so long that hashing them alone takes as long as all others together. */
const MAX_AHEAD = 4;
/** As many streams as the widest MD5 kernel hashes at once wait for it, */
const HASHED_LANES = 16;
/** while every thread makes bytes of others. */
const LANES_PER_THREAD = 4;
const TILE_BYTES = 128 * 1024;
/** The part of what is left above the base that scales are kept in. */
const KEPT_SHARE = 1 / 3;

/** Memory that a run may take unless told otherwise. */
export const DEFAULT_MAX_MEMORY: number = 256 * MIB;

/** What the lanes and their kept scales may take. */
function divide(maxMemory: number): { readonly laneBytes: number; readonly keptBytes: number } {
  const room = Math.max(0, maxMemory - BASE_BYTES);
  const keptBytes = Math.floor(room * KEPT_SHARE);
  return { laneBytes: room - keptBytes, keptBytes };
}

/**
 * The most shards in flight that the memory allows and the threads need.
 * @param threads how many; undefined: one a processor, as far as the memory goes
 * @param maxMemory bytes of anonymous memory that the whole process may reach
 * @throws {PlanError} `E_MEMORY` when not even one shard a thread fits
 */
export function budgetOf(threads: number | undefined, maxMemory: number): Budget {
  const { laneBytes, keptBytes } = divide(maxMemory);
  const most = Math.floor(laneBytes / LANE_BYTES);
  const workers = threads ?? Math.max(1, Math.min(availableParallelism(), most));
  // One thread cannot make one chunk and hash another; and a shard a thread comes first.
  const room = Math.floor((laneBytes - workers * LANE_BYTES) / AHEAD_BYTES);
  const ahead = workers === 1 ? 0 : Math.max(0, Math.min(workers, MAX_AHEAD, room));
  const lanes = Math.min(
    HASHED_LANES + LANES_PER_THREAD * workers,
    Math.floor((laneBytes - ahead * AHEAD_BYTES) / LANE_BYTES),
  );
  if (lanes >= workers) return { threads: workers, lanes, ahead, tileBytes: TILE_BYTES, keptBytes };
  throw tooLittle(workers, maxMemory, workers * LANE_BYTES);
}

/** @param laneBytes what one lane a thread takes */
function tooLittle(threads: number, maxMemory: number, laneBytes: number): PlanError {
  const needed = BASE_BYTES + laneBytes / (1 - KEPT_SHARE);
  const [least, allowed] = [Math.ceil(needed / MIB), Math.floor(maxMemory / MIB)];
  return new PlanError(
    "E_MEMORY",
    `${threads} ${threads === 1 ? "thread needs" : "threads need"} at least ${least} MiB, allowed are ${allowed} MiB`,
    { hint: "raise --max-memory or lower --threads" },
  );
}

/** A GPU is worth its transfers when it is given much at once. */
const DEVICE_TILES: readonly number[] = [4 * MIB, 2 * MIB, MIB, MIB / 2, MIB / 4, TILE_BYTES];
/** A thread's. */
const MAX_DEVICE_LANES = 4;
/** What a lane's buffers hold, in tiles: output, staged rows, blocks as float32. */
const LANE_TILES = 12;
/** The two pinned buffers of a thread: at most eight tiles go in and four come out, of 8 and 16 MiB. */
const pinnedBytes = (tile: number): number =>
  2 * (Math.min(8 * tile, 8 * MIB) + Math.min(4 * tile, 16 * MIB));

/**
 * The same for a run on a GPU: fewer lanes, and the largest tiles that leave room for two a thread. What the
 * driver itself holds is not counted.
 * @throws {PlanError} `E_MEMORY` when not even one shard a thread fits
 */
export function deviceBudgetOf(threads: number | undefined, maxMemory: number): Budget {
  const { laneBytes, keptBytes } = divide(maxMemory);
  const needed = (tile: number): number => pinnedBytes(tile) + LANE_BYTES + LANE_TILES * tile;
  const most = Math.floor(laneBytes / needed(TILE_BYTES));
  const workers = threads ?? Math.max(1, Math.min(availableParallelism(), most));
  const lanesOf = (tile: number): number => {
    const room = laneBytes - workers * pinnedBytes(tile);
    return Math.min(workers * MAX_DEVICE_LANES, Math.floor(room / (LANE_BYTES + LANE_TILES * tile)));
  };
  const tileBytes = DEVICE_TILES.find((tile) => lanesOf(tile) >= 2 * workers) ?? TILE_BYTES;
  const lanes = lanesOf(tileBytes);
  if (lanes >= workers) return { threads: workers, lanes, ahead: 0, tileBytes, keptBytes };
  throw tooLittle(workers, maxMemory, workers * needed(TILE_BYTES));
}
