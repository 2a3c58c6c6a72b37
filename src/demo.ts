import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConvertDeps, convert } from "./convert.ts";
import { DEMO_SIZES, llamaCheckpoint } from "./demo/demo-model.ts";
import { writeSyntheticCheckpoint } from "./demo/synthetic-checkpoint.ts";
import type { ConversionReport } from "./report/conversion-report.ts";
import type { VerifyResult } from "./tensor-cache/verify.ts";
import { verify } from "./verify.ts";

export interface DemoOptions {
  readonly quantization: string;
  /** Where the result stays; default: a temporary folder that is removed. */
  readonly output?: string;
}

export interface DemoResult {
  readonly conversion: ConversionReport;
  readonly verified: VerifyResult;
}

/** Makes a small synthetic model in a temporary folder, converts it and verifies the result. */
export async function runDemo(options: DemoOptions, deps: ConvertDeps = {}): Promise<DemoResult> {
  const folder = await mkdtemp(join(tmpdir(), "mlc-convert-demo-"));
  try {
    const model = join(folder, "model");
    await mkdir(model);
    await writeSyntheticCheckpoint(model, llamaCheckpoint(DEMO_SIZES));
    const output = options.output ?? join(folder, `demo-${options.quantization}-MLC`);
    const conversion = await convert({ model, output, quantization: options.quantization }, deps);
    deps.onEvent?.({ type: "phase", phase: "verify" });
    return { conversion, verified: await verify(output) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
