import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { budgetOf, DEFAULT_MAX_MEMORY, deviceBudgetOf } from "../../src/execute/budget.ts";
import { failureOf } from "../support/failure-of.ts";

const MIB = 2 ** 20;

describe("the memory budget", () => {
  it("has lanes for a full vector of hashes and for every thread, as far as memory goes", () => {
    expect(budgetOf(1, DEFAULT_MAX_MEMORY).lanes).toBe(20);
    expect(budgetOf(2, DEFAULT_MAX_MEMORY).lanes).toBe(24);
    expect(budgetOf(26, DEFAULT_MAX_MEMORY).lanes).toBe(32);
    expect(budgetOf(2, 128 * MIB).lanes).toBe(5);
    expect(budgetOf(8, 2 ** 40).lanes).toBe(48);
  });

  it("has a second chunk for few of several threads' lanes, a lane a thread given", () => {
    expect(budgetOf(1, 2 ** 40).ahead).toBe(0);
    expect(budgetOf(2, 128 * MIB).ahead).toBe(2);
    expect(budgetOf(26, DEFAULT_MAX_MEMORY).ahead).toBe(4);
    expect(budgetOf(32, DEFAULT_MAX_MEMORY)).toMatchObject({ lanes: 32, ahead: 4 });
    expect(budgetOf(34, DEFAULT_MAX_MEMORY)).toMatchObject({ lanes: 34, ahead: 2 });
    expect(budgetOf(35, DEFAULT_MAX_MEMORY)).toMatchObject({ lanes: 35, ahead: 0 });
  });

  it("takes no more threads than memory allows where their number is left to it", () => {
    const all = budgetOf(undefined, 2 ** 40).threads;
    expect(all).toBe(availableParallelism());
    expect(budgetOf(undefined, 101 * MIB)).toMatchObject({ threads: 1, lanes: 1 });
    expect(deviceBudgetOf(undefined, 110 * MIB)).toMatchObject({ threads: 1, lanes: 1 });
  });

  it("is refused where not even one shard a thread fits, saying what would", async () => {
    const error = await failureOf(() => budgetOf(64, DEFAULT_MAX_MEMORY));
    expect(error).toMatchObject({ name: "PlanError", code: "E_MEMORY" });
    expect(error.message).toBe("64 threads need at least 384 MiB, allowed are 256 MiB");
    expect(() => budgetOf(64, 384 * MIB)).not.toThrow();
    expect(() => budgetOf(64, 383 * MIB)).toThrow("64 threads need");
    expect(() => budgetOf(1, MIB)).toThrow("1 thread needs");
  });
});
describe("the budget of a GPU", () => {
  it("has fewer lanes and larger tiles than the processor's where memory allows", () => {
    const onProcessor = budgetOf(2, 1024 * MIB);
    const onGpu = deviceBudgetOf(2, 1024 * MIB);
    expect(onGpu.tileBytes).toBe(4 * MIB);
    expect(onGpu.lanes).toBeLessThan(onProcessor.lanes);
  });

  it("shrinks its tiles before it gives up", () => {
    const sizes = [1024, 256, 160].map((mib) => deviceBudgetOf(2, mib * MIB).tileBytes);
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    expect(new Set(sizes).size).toBe(3);
  });

  it("says how much memory is needed, and takes exactly that much", () => {
    let needed = 0;
    try {
      deviceBudgetOf(16, 100 * MIB);
    } catch (error) {
      needed = Number(/at least (\d+) MiB/.exec((error as Error).message)?.[1]);
    }
    expect(deviceBudgetOf(16, needed * MIB)).toMatchObject({ threads: 16, lanes: 16 });
    expect(() => deviceBudgetOf(16, (needed - 1) * MIB)).toThrow("16 threads need");
  });
});
