import { describe, expect, it } from "vitest";
import { budgetOf, DEFAULT_MAX_MEMORY } from "../../src/execute/budget.ts";
import { failureOf } from "../support/failure-of.ts";

const MIB = 2 ** 20;

describe("the memory budget", () => {
  it("gives fewer lanes to more threads, and never more than sixteen", () => {
    expect(budgetOf(1, DEFAULT_MAX_MEMORY).lanes).toBe(16);
    expect(budgetOf(8, DEFAULT_MAX_MEMORY).lanes).toBe(4);
    expect(budgetOf(32, DEFAULT_MAX_MEMORY).lanes).toBe(1);
    expect(budgetOf(1, 2 ** 40).lanes).toBe(16);
  });

  it("is refused where not even one shard a thread fits, saying what would", async () => {
    const error = await failureOf(() => budgetOf(64, DEFAULT_MAX_MEMORY));
    expect(error).toMatchObject({ name: "PlanError", code: "E_MEMORY" });
    expect(error.message).toBe("64 threads need at least 416 MiB, allowed are 256 MiB");
    expect(() => budgetOf(64, 416 * MIB)).not.toThrow();
  });
});
