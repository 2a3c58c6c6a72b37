import { PlanError } from "../../core/errors.ts";
import { Float, isObject, type Json } from "../../core/json.ts";
import type { Architecture } from "../architecture.ts";
import { clipTower } from "../clip-tower.ts";
import { type ConfigClass, EXTRA_KEYS, object, type Rule } from "../config-class.ts";
import { decoderSizes } from "../decoder-sizes.ts";
import { defineArchitecture } from "../define-architecture.ts";
import { spell } from "../field-reader.ts";
import { ANY_VOCAB } from "../parameter.ts";
import { bias, linear, raw, renameSources } from "../table.ts";
import { phi3Decoder, phi3Head, phi3Rules, phi3Tail } from "./phi3.ts";

/** The only tower that the runtime has: CLIP-L/14 for images of 336 by 336. */
const CLIP_LARGE: ReadonlyMap<string, Json> = new Map<string, Json>([
  ["hidden_size", 1024],
  ["image_size", 336],
  ["intermediate_size", 4096],
  ["num_attention_heads", 16],
  ["num_hidden_layers", 24],
  ["patch_size", 14],
  ["projection_dim", 768],
  ["vocab_size", null],
  ["num_channels", 3],
  ["layer_norm_eps", new Float(1e-5)],
  ["kwargs", new Map()],
]);

const SHAPING = [
  "hidden_size",
  "image_size",
  "intermediate_size",
  "num_hidden_layers",
  "patch_size",
] as const;

/** The config's own tower must be that one; its other values are ignored. */
const builtInTower: Rule = (draft) => {
  const given = draft.get("vision_config");
  for (const name of isObject(given) ? SHAPING : []) {
    const value = isObject(given) ? given.get(name) : undefined;
    if (value === undefined || value === CLIP_LARGE.get(name)) continue;
    throw new PlanError(
      "E_VISION_SIZE",
      `${draft.where}.vision_config.${name}: expected ${spell(CLIP_LARGE.get(name))}, found ${spell(value)}`,
      { hint: "the runtime has only the CLIP-L/14-336 tower, so another tower cannot be converted" },
    );
  }
  draft.set("vision_config", CLIP_LARGE);
};

const phi3vConfig: ConfigClass = {
  name: "Phi3VConfig",
  fields: [
    ...phi3Head,
    object("vision_config", null),
    object("img_processor", null),
    ...phi3Tail,
    EXTRA_KEYS,
  ],
  rules: [builtInTower, ...phi3Rules],
};

const VISION = "vision_embed_tokens";

/** The tower stays unquantized, the projection into the language model does not. */
export const architecture: Architecture = defineArchitecture({
  key: "phi3_v",
  classes: ["Phi3VForCausalLM"],
  config: phi3vConfig,
  upstreamNotices: (_, { kind }) =>
    kind === "ft-quant"
      ? ["q4f16_ft quantizes the vision tower and its positions too, as upstream does"]
      : [],
  // Mapped and declared unused at once, so it does not count in BitsPerParam.
  ignores: () => ["model.embed_tokens.weight"],
  table: (fields) => {
    const sizes = decoderSizes(fields);
    const { hidden } = sizes;
    const tower = fields.nested("vision_config");
    const width = tower.integer("hidden_size");
    const separator = 4 * fields.nested("img_processor").integer("image_dim_out");
    const project = (to: number, from: number, inputs: number) => [
      linear(`${VISION}.img_projection.linear_${to}.weight`, [hidden, inputs], {
        from: `${VISION}.img_projection.${from}.weight`,
      }),
      bias(`${VISION}.img_projection.linear_${to}.bias`, [hidden], {
        from: `${VISION}.img_projection.${from}.bias`,
      }),
    ];
    const vision = [
      ...clipTower(`${VISION}.img_processor.vision_model`, tower),
      raw(`${VISION}.glb_GN`, [1, 1, separator]),
      raw(`${VISION}.sub_GN`, [1, 1, 1, separator]),
      ...project(1, 0, 4 * width),
      ...project(2, 2, hidden),
    ];
    return [
      ...phi3Decoder("model", sizes),
      linear("lm_head.weight", [ANY_VOCAB, hidden]),
      ...renameSources(vision, (name) => `model.${name}`),
    ];
  },
});
