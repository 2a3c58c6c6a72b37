import { formatProvenance, PROVENANCE_NAME, type Provenance } from "./chat-config/provenance.ts";
import { type FileIntegrity, integrityOf, readFileIntegrity } from "./core/integrity.ts";
import type { Json } from "./core/json.ts";
import { VERSION } from "./core/package-root.ts";
import type { ExtraFile } from "./execute/write-output.ts";
import type { Origin } from "./open-model.ts";

/** What mlc-convert.json says about a conversion. */
export interface ProvenanceFacts {
  readonly origin: Origin;
  readonly conversion: Provenance["conversion"];
  /** The files beside the shards. */
  readonly files: readonly ExtraFile[];
}

/** Makes mlc-convert.json, which lists every small file with its hash. */
export async function provenanceFile({ origin, conversion, files }: ProvenanceFacts): Promise<ExtraFile> {
  const hashes = new Map<string, FileIntegrity>();
  for (const file of files) {
    hashes.set(
      file.name,
      "copyOf" in file ? await readFileIntegrity(file.copyOf) : integrityOf(file.content),
    );
  }
  const text = formatProvenance({ toolVersion: VERSION, source: origin, conversion, files: hashes });
  return { name: PROVENANCE_NAME, content: text };
}

/** Options that say how a result was made. What is not named here is not written down: a token, for one. */
const RECORDED: readonly string[] = [
  "source",
  "sourceFormat",
  "format",
  "modelType",
  "ftArch",
  "preshard",
  "rank",
  "splitMaxSize",
  "backend",
  "device",
  "threads",
  "maxMemory",
  "map",
  "sync",
  "stats",
  "strict",
  "weightsOnly",
  "legacyIndex",
  "convTemplate",
  "contextWindowSize",
  "slidingWindowSize",
  "prefillChunkSize",
  "attentionSinkSize",
  "tensorParallelShards",
  "pipelineParallelStages",
  "maxBatchSize",
  "disaggregation",
];

/** The options that were given, for the record. */
export function givenOptions(options: Readonly<Record<string, unknown>>): ReadonlyMap<string, Json> {
  return new Map(
    RECORDED.flatMap((name): [string, Json][] => {
      const value = options[name];
      const simple = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
      return simple ? [[name, value]] : [];
    }),
  );
}
