import { CheckpointError, listProblems } from "../core/errors.ts";
import type { Layout, ShardResult } from "../core/layout.ts";
import type { OutputTensor } from "../plan/plan.ts";

/**
 * Refuses weights that are not finite, or that the scheme's dtype cannot hold (errors.md C17, C18).
 * @throws {CheckpointError} `E_NON_FINITE`, listing the tensors
 */
export function refuseNonFinite(
  tensors: readonly OutputTensor[],
  layout: Layout,
  results: ReadonlyMap<number, ShardResult>,
): void {
  const problems = layout.shards.flatMap((shard, index) =>
    shard.tensors.flatMap((placed, at) => {
      const { nonFinite = 0, overflowed = 0 } = results.get(index)?.statistics?.[at] ?? {};
      if (nonFinite + overflowed === 0) return [];
      const { name, modelDType } = tensors[placed.tensor] as OutputTensor;
      return [`${name}: ${nonFinite} values are not finite, ${overflowed} are too large for ${modelDType}`];
    }),
  );
  if (problems.length === 0) return;
  throw new CheckpointError(
    "E_NON_FINITE",
    `${problems.length} tensor${problems.length === 1 ? "" : "s"} cannot be kept:\n${listProblems(problems)}`,
    { hint: "leave --strict out to convert them as upstream does, or take a scheme with a wider dtype" },
  );
}
