import { Float } from "../core/json.ts";
import { type ConfigClass, EXTRA_KEYS, integer, number } from "./config-class.ts";
import type { FieldReader } from "./field-reader.ts";
import type { Parameter } from "./parameter.ts";
import { bias, eachLayer, embedding, layerNorm, linear, raw } from "./table.ts";

/** Config of a CLIP vision tower, nested in the configs of vision models. */
export const clipConfig: ConfigClass = {
  name: "CLIPVisionConfig",
  fields: [
    integer("hidden_size"),
    integer("image_size"),
    integer("intermediate_size"),
    integer("num_attention_heads"),
    integer("num_hidden_layers"),
    integer("patch_size"),
    integer("projection_dim"),
    { ...integer("vocab_size"), nullable: true },
    integer("num_channels", 3),
    number("layer_norm_eps", new Float(1e-6)),
    EXTRA_KEYS,
  ],
  rules: [],
};

const noQuant = true;

/** The parameters of a tower at `root`, called as in the checkpoint. The tower is kept unquantized. */
export function clipTower(root: string, fields: FieldReader): readonly Parameter[] {
  const width = fields.integer("hidden_size");
  const [patch, channels] = [fields.integer("patch_size"), fields.integer("num_channels")];
  const positions = Math.floor(fields.integer("image_size") / patch) ** 2 + 1;
  return [
    raw(`${root}.embeddings.class_embedding`, [width]),
    raw(`${root}.embeddings.patch_embedding.weight`, [width, channels, patch, patch]),
    embedding(`${root}.embeddings.position_embedding.weight`, [positions, width], { noQuant }),
    // The misspelling is the checkpoint's.
    ...layerNorm(`${root}.pre_layrnorm`, width),
    ...eachLayer(fields.integer("num_hidden_layers"), (i) =>
      clipLayer(`${root}.encoder.layers.${i}`, width, fields.integer("intermediate_size")),
    ),
    ...layerNorm(`${root}.post_layernorm`, width),
  ];
}

function clipLayer(at: string, width: number, inner: number): readonly Parameter[] {
  const dense = (name: string, outputs: number, inputs: number) => [
    linear(`${at}.${name}.weight`, [outputs, inputs], { noQuant }),
    bias(`${at}.${name}.bias`, [outputs]),
  ];
  return [
    ...["k_proj", "v_proj", "q_proj", "out_proj"].flatMap((name) => dense(`self_attn.${name}`, width, width)),
    ...layerNorm(`${at}.layer_norm1`, width),
    ...dense("mlp.fc1", inner, width),
    ...dense("mlp.fc2", width, inner),
    ...layerNorm(`${at}.layer_norm2`, width),
  ];
}
