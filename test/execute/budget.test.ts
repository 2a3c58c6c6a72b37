import { describe, expect, it } from "vitest";
import { budgetOf, deviceBudgetOf } from "../../src/execute/budget.ts";

const MIB = 2 ** 20;

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
    expect(deviceBudgetOf(16, needed * MIB)).toMatchObject({ threads: 16, lanes: 1 });
    expect(() => deviceBudgetOf(16, (needed - 1) * MIB)).toThrow("16 threads need");
  });
});
