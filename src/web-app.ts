import { basename, resolve } from "node:path";
import { planWebApp, type WebPlan } from "./web/app-config.ts";
import { HOST_HEADERS, HOST_RULES } from "./web/host-headers.ts";
import { type IntegrityManifest, readIntegrityManifest, toModelIntegrity } from "./web/integrity-manifest.ts";
import { openModelDirectory } from "./web/model-directory.ts";

export interface WebAppRequest {
  /** A converted model. */
  readonly folder: string;
  /** Name in WebLLM's list; default: the folder's name. */
  readonly modelId?: string;
  /** Where the folder will be served. */
  readonly modelUrl: string;
  /** A library of the user's own. */
  readonly modelLib?: string;
  readonly contextWindowSize?: number;
}

/** Everything a page needs to run a converted model. */
export interface WebApp extends WebPlan {
  readonly manifest: IntegrityManifest;
  readonly headers: typeof HOST_HEADERS;
  readonly rules: typeof HOST_RULES;
}

/**
 * Plans the WebLLM `appConfig` entry of a converted model, with hashes and what a static host must send.
 * @throws {CheckpointError} where the folder is no converted model
 */
export async function webApp(request: WebAppRequest): Promise<WebApp> {
  const directory = await openModelDirectory(resolve(request.folder));
  const manifest = await readIntegrityManifest(directory);
  const { folder, modelId, ...rest } = request;
  const plan = planWebApp({
    ...rest,
    directory,
    modelId: modelId ?? basename(resolve(folder)),
    integrity: toModelIntegrity(manifest),
  });
  return { ...plan, manifest, headers: HOST_HEADERS, rules: HOST_RULES };
}
