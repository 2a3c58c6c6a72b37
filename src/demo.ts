import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConvertDeps, type ConvertRequest, convert } from "./convert.ts";
import { writeDemoModel } from "./demo/demo-model.ts";
import { HubServer } from "./hub-server/hub-server.ts";
import { commitOfFolder } from "./hub-server/repository.ts";
import type { ConversionReport } from "./report/conversion-report.ts";
import { type Verification, verify } from "./verify.ts";

export interface DemoOptions {
  readonly quantization: string;
  /** Where the result stays; default: a temporary folder that is removed. */
  readonly output?: string;
  /** Go through a hub on this machine: name, download, plan, convert, verify. */
  readonly fromHub?: boolean;
}

export interface DemoResult {
  readonly conversion: ConversionReport;
  readonly verified: Verification;
}

const REPOSITORY = "demo/tiny-llama";

/** Makes a small synthetic model in a temporary folder, converts it and verifies the result. */
export async function runDemo(options: DemoOptions, deps: ConvertDeps = {}): Promise<DemoResult> {
  const folder = await mkdtemp(join(tmpdir(), "mlc-convert-demo-"));
  try {
    const model = join(folder, "model");
    await writeDemoModel(model);
    const { quantization } = options;
    const output = options.output ?? join(folder, `demo-${quantization}-MLC`);
    const conversion = options.fromHub
      ? await throughHub({ model: REPOSITORY, output, quantization }, { folder, model }, deps)
      : await convert({ model, output, quantization }, deps);
    deps.onEvent?.({ type: "phase", phase: "verify" });
    return { conversion, verified: await verify(output) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface DemoPlaces {
  readonly folder: string;
  readonly model: string;
}

async function throughHub(request: ConvertRequest, { folder, model }: DemoPlaces, deps: ConvertDeps) {
  const commit = await commitOfFolder(model);
  const hub = await HubServer.start({
    repositories: [{ id: REPOSITORY, access: "public", refs: new Map([["main", commit]]) }],
  });
  try {
    const acquire = { endpoint: hub.endpoint, cacheDir: join(folder, "cache"), token: false } as const;
    return await convert({ ...request, acquire }, deps);
  } finally {
    await hub.close();
  }
}
