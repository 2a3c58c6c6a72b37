import type { SourceFormat } from "../core/tensor-info.ts";
import type { Architecture, DerivedConfig } from "./architecture.ts";
import { type ConfigClass, deriveConfig } from "./config-class.ts";
import type { Constraint } from "./constraints.ts";
import { FieldReader } from "./field-reader.ts";
import type { Parameter } from "./parameter.ts";
import type { SchemeKind } from "./scheme.ts";

/** Source formats that every architecture reads. */
export const PLAIN_FORMATS: readonly SourceFormat[] = ["huggingface-torch", "huggingface-safetensor"];
/** Those, and GGUF files, which exist for some architectures. */
export const GGUF_FORMATS: readonly SourceFormat[] = [...PLAIN_FORMATS, "gguf"];
/** Scheme kinds of most architectures. */
export const COMMON_KINDS: readonly SchemeKind[] = ["no-quant", "group-quant", "ft-quant"];

/** What an architecture's file says; the rest is derived from it. */
export interface Definition
  extends Partial<Omit<Architecture, "derive" | "parameters" | "unused" | "configClass">> {
  readonly key: string;
  readonly config: ConfigClass;
  /** Conditions on the derived config, checked before the table is made. */
  readonly constraints?: readonly Constraint[];
  readonly table: (fields: FieldReader, config: DerivedConfig) => readonly Parameter[];
  readonly ignores?: (fields: FieldReader, config: DerivedConfig) => readonly string[];
}

/** An architecture from its definition: chat task, plain source formats and common scheme kinds unless it says otherwise. */
export function defineArchitecture(definition: Definition): Architecture {
  const { config: configClass, constraints = [], table, ignores, ...rest } = definition;
  const reader = (config: DerivedConfig) => new FieldReader(configClass.name, config.fields);
  return {
    modelTask: "chat",
    classes: [],
    sourceFormats: PLAIN_FORMATS,
    schemeKinds: COMMON_KINDS,
    ...rest,
    configClass: configClass.name,
    derive: (config) => deriveConfig(configClass, config),
    parameters: (config) => {
      const fields = reader(config);
      for (const constraint of constraints) constraint(fields);
      return table(fields, config);
    },
    unused: (config) => ignores?.(reader(config), config) ?? [],
  };
}

/** Tensors called `<prefix>.<layer>.<suffix>`, one a layer. */
export function perLayer(prefix: string, layers: number, suffix: string): readonly string[] {
  return Array.from({ length: layers }, (_, index) => `${prefix}.${index}.${suffix}`);
}

/** The rotary frequencies that older checkpoints store. */
export const rotaryFrequencies = (fields: FieldReader): readonly string[] =>
  perLayer("model.layers", fields.integer("num_hidden_layers"), "self_attn.rotary_emb.inv_freq");
