import type { JsonObject } from "../core/json.ts";
import type { SourceFormat } from "../core/tensor-info.ts";
import type { Parameter } from "./parameter.ts";
import type { Scheme, SchemeKind } from "./scheme.ts";

/** What the runtime does with an embedding model's hidden states. */
export interface EmbeddingMetadata {
  readonly modelType: "encoder" | "decoder";
  readonly poolingStrategy: "cls" | "last";
  readonly normalize: boolean;
}

/** A config after its derivation rules ran. */
export interface DerivedConfig {
  /** All fields in dump order, top-level extra keys removed: `model_config` of mlc-chat-config.json. */
  readonly fields: JsonObject;
  /** Top-level keys of config.json that are no fields, in file order, minus what the rules took. */
  readonly extra: JsonObject;
  /** Things worth telling the user, one sentence each. */
  readonly notices: readonly string[];
}

/** Other names for the tensors of a table. */
export interface NameAlias {
  readonly rename: (name: string) => string;
  /** What the user is told, one sentence. */
  readonly notice: string;
}

/** One architecture: a config class and a table of parameters. One file in architectures/ each. */
export interface Architecture {
  /** Upstream's registry key; also the file's name. */
  readonly key: string;
  /** Name of upstream's config class, for messages. */
  readonly configClass: string;
  /** Names of model classes, as `architectures` of config.json lists them. */
  readonly classes: readonly string[];
  readonly modelTask: "chat" | "embedding";
  readonly embeddingMetadata?: EmbeddingMetadata;
  readonly sourceFormats: readonly SourceFormat[];
  readonly schemeKinds: readonly SchemeKind[];
  /**
   * Runs the derivation rules once on a parsed config.json.
   * @throws {PlanError} naming class and field
   */
  readonly derive: (config: JsonObject) => DerivedConfig;
  /**
   * All parameters of the unquantized model in logical order (map order where one source feeds several).
   * @throws {PlanError} where a constraint on the config does not hold
   */
  readonly parameters: (config: DerivedConfig) => readonly Parameter[];
  /** Source names that may be present without being used, and are not counted in `BitsPerParam`. */
  readonly unused: (config: DerivedConfig) => readonly string[];
  /**
   * True for a config.json that means this architecture although its `model_type` says something else.
   * Asked for model types without an architecture, and of architectures whose key is `<model type>-…`.
   */
  readonly recognizes?: (config: JsonObject) => boolean;
  /** True for a config.json that probably means this architecture; only ever a hint to the user. */
  readonly suggests?: (config: JsonObject) => boolean;
  /** Other source names, where those of the table are not among `names` of the checkpoint. */
  readonly aliases?: (names: ReadonlySet<string>) => NameAlias | undefined;
  /** Set where block-scaled fp8 checkpoints have scales of several forms and of activations (formats.md §9). */
  readonly looseScales?: boolean;
  /** AWQ checkpoints can be taken as llama's are, although upstream does not (see awqObstacle in awq.ts). */
  readonly awqByRule?: boolean;
  /** Set where all heads share one key and one value, which config.json does not say. */
  readonly multiQuery?: boolean;
  /** What to do instead, for kinds that users expect here but that cannot work. */
  readonly schemeHints?: Readonly<Partial<Record<SchemeKind, string>>>;
  /** What tensor parallelism gets wrong, as upstream does; one sentence. */
  readonly shardingNotice?: string;
  /** Where upstream has no result, or a surprising one, for this config and scheme; a sentence each. */
  readonly upstreamNotices?: (config: DerivedConfig, scheme: Scheme) => readonly string[];
}
