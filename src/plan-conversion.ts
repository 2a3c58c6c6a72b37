import { UsageError } from "./core/errors.ts";
import { type OpenDeps, openModel } from "./open-model.ts";
import { schemeOf } from "./plan/scheme.ts";
import { type ConversionRequest, type PlannedConversion, planModel } from "./plan-model.ts";
import type { MemoryWishes } from "./recommend.ts";
import { settleQuantizations } from "./settle-quantizations.ts";

/** A worker's number must be one of the workers that weights are cut for. */
function checkRank({ preshard, rank }: ConversionRequest): void {
  if (rank === undefined) return;
  if (preshard === undefined) {
    throw new UsageError("E_OPTION", `worker ${rank}'s part needs the number of workers`, {
      hint: "give --preshard too",
    });
  }
  if (Number.isInteger(rank) && rank >= 0 && rank < preshard) return;
  throw new UsageError(
    "E_OPTION",
    `the rank must be a whole number from 0 to ${preshard - 1}, found ${rank}`,
  );
}

/**
 * Plans a conversion from config.json and the tensor headers alone. Every naming, shape, dtype and support
 * problem shows here, before a weight is read or downloaded. The quantization `auto` stands for the best that fits
 * the memory.
 *
 * @throws {MlcConvertError} of the class that docs/errors.md lists for the cause
 */
export async function planConversion(
  request: ConversionRequest & MemoryWishes,
  deps: OpenDeps = { onEvent: () => {} },
): Promise<PlannedConversion> {
  checkRank(request);
  const settled = await settleQuantizations({ ...request, quantizations: [request.quantization] }, deps);
  const [quantization] = settled.quantizations as [string];
  if (settled.model) return planModel(settled.model, { ...request, quantization });
  const sourceFormat = request.sourceFormat ?? ((await takesAwq(request)) ? "awq" : "auto");
  return planModel(await openModel({ ...request, sourceFormat }, deps), request);
}

/** Unknown quantizations are refused here, before anything is opened. */
async function takesAwq({ format, quantization }: ConversionRequest): Promise<boolean> {
  if (format !== "gguf") return schemeOf(quantization).kind === "awq";
  const { ggufMixtureOf } = await import("./plan/gguf/mixture.ts");
  ggufMixtureOf(quantization);
  return false;
}
