import type { Checkpoint } from "../core/tensor-info.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";
import { isGate } from "./node-rules.ts";
import { type BoundParameter, fitsFt } from "./pieces.ts";
import type { Scheme } from "./scheme.ts";

/** A conversion of which every parameter is known. */
export interface Conversion {
  readonly architecture: Architecture;
  readonly config: DerivedConfig;
  readonly scheme: Scheme;
  readonly checkpoint: Checkpoint;
  readonly bound: readonly BoundParameter[];
}

interface Difference {
  readonly applies: (conversion: Conversion) => boolean;
  readonly sentence: string;
}

/** Where we do something else than upstream, whatever the architecture. */
const DIFFERENCES: readonly Difference[] = [
  {
    applies: ({ scheme }) => scheme.kind === "per-tensor-quant" && scheme.calibrationScale,
    sentence: "upstream leaves q_calibration_scale undefined; it is 1 here",
  },
  {
    applies: ({ scheme, bound }) =>
      scheme.kind === "ft-quant" && bound.some((one) => fitsFt(one) && isGate(one.parameter)),
    sentence: "the experts' gates stay in float16: upstream's q4f16_ft cannot store them",
  },
  {
    applies: ({ bound }) => bound.some(({ value }) => value.transform.kind === "exp-neg-exp"),
    sentence: "the time decay is rounded correctly: the last bit of upstream's depends on its processor",
  },
  {
    applies: ({ checkpoint, bound }) => bound.some((one) => mixesHalves(one, checkpoint)),
    sentence: "float16 and bfloat16 tensors are joined, each cast by itself, which upstream cannot do",
  },
];

/**
 * What the user should know where the result has no counterpart of upstream's, a sentence each: upstream has none, or
 * an undefined one.
 */
export function upstreamNotices(conversion: Conversion): readonly string[] {
  const { architecture, config, scheme } = conversion;
  return [
    ...(architecture.upstreamNotices?.(config, scheme) ?? []),
    ...DIFFERENCES.filter(({ applies }) => applies(conversion)).map(({ sentence }) => sentence),
  ];
}

function mixesHalves({ sources }: BoundParameter, { tensors }: Checkpoint): boolean {
  const dtypes = new Set(sources.map((name) => tensors.get(name)?.dtype));
  return dtypes.has("float16") && dtypes.has("bfloat16");
}
