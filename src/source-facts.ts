import { stat } from "node:fs/promises";
import type { Plan } from "./plan/plan.ts";
import type { ConversionRequest } from "./plan-conversion.ts";

/** What decides the output's bytes besides the tool: options, and the identity of every source file. */
export async function sourceFacts(
  plan: Plan,
  request: ConversionRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const files = await Promise.all(
    plan.files.map(async ({ path, size }) => [path, size, (await stat(path)).mtimeMs] as const),
  );
  const { ftArch, preshard } = request;
  return { architecture: plan.architecture, quantization: plan.scheme.name, ftArch, preshard, files };
}
