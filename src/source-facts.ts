import { stat } from "node:fs/promises";
import type { Plan } from "./plan/plan.ts";
import type { ConversionRequest } from "./plan-model.ts";

/** What decides the output's bytes besides the tool: options, and the identity of every source file. */
export async function sourceFacts(
  plan: Plan,
  request: Pick<ConversionRequest, "ftArch" | "preshard" | "rank">,
): Promise<Readonly<Record<string, unknown>>> {
  const files = await Promise.all(
    plan.files.map(async ({ path, size }) => [path, size, (await stat(path)).mtimeMs] as const),
  );
  const { ftArch, preshard, rank } = request;
  return { architecture: plan.architecture, quantization: plan.scheme.name, ftArch, preshard, rank, files };
}
