/** Sizes that a compiled library is fixed to; an absent one is not compared. The vocabulary may differ. */
export interface ModelShape {
  readonly hiddenSize?: number;
  readonly layers?: number;
  readonly intermediateSize?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  /** Whether rotary positions are rescaled: what tells Llama 3.1 from Llama 3. */
  readonly ropeScaled?: boolean;
}

/** What a library takes with a context window: tokens, MB of GPU memory, and whether weak devices suffice. */
export type LibraryNeed = readonly [contextWindowSize: number, vramMB: number, lowResource: boolean];

export interface LibraryBuild {
  readonly quantization: string;
  /** Of the file name, between quantization and `-webgpu.wasm`: separator, prefill chunk and so on. */
  readonly suffix: string;
  /** Largest context window first. */
  readonly needs: readonly LibraryNeed[];
}

export interface LibraryFamily {
  readonly name: string;
  readonly modelTypes: readonly string[];
  readonly shape: ModelShape;
  /** The shape is what is generally known of the model, and was compared with no configuration of it. */
  readonly inferred?: boolean;
  /** WebLLM's `model_type` when it is no plain language model: 1 embedding, 2 vision. */
  readonly kind?: number;
  /** For {@link parseBuild}. */
  readonly builds: readonly string[];
}

/** Reads `q4f16_1_cs1k 4096=5001 1024=4598.34*`: the build, then context window = MB, starred for weak devices. */
export function parseBuild(text: string): LibraryBuild {
  const [name = "", ...needs] = text.split(" ");
  const quantization = /^q\df\d+(_\d)?/.exec(name)?.[0] ?? name;
  return {
    quantization,
    suffix: name.slice(quantization.length),
    needs: needs.map((need): LibraryNeed => {
      const [context = "", vram = ""] = need.split("=");
      return [Number(context), Number.parseFloat(vram), vram.endsWith("*")];
    }),
  };
}
