import type { DType } from "../../core/dtype.ts";
import type { GgufMetadata } from "../../core/gguf.ts";
import { ggufModelMetadata } from "./metadata.ts";
import { type GgufMixture, ggufOrder, ggufTypes } from "./mixture.ts";
import { ggufModelOf } from "./model.ts";
import { type FormedSources, restoreForms } from "./stored-forms.ts";
import { type GgufTensor, ggufTensors, type SourceTensors } from "./tensors.ts";
import { ggufTokenizerMetadata, tokenizerSize } from "./tokenizer.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** A tensor with the type it is stored in. */
export type GgufTensorPlan = GgufTensor & { readonly dtype: DType };

/** Everything that a GGUF file will hold, but bytes and offsets. */
export interface GgufPlan {
  readonly metadata: GgufMetadata;
  /** In output order. Values are computed in float32 and then stored as `dtype`. */
  readonly tensors: readonly GgufTensorPlan[];
}

export interface GgufPlanRequest {
  readonly files: TokenizerFiles;
  /** The checkpoint's tensors; forms other than their names promise are undone. */
  readonly sources: FormedSources & { readonly tensors: SourceTensors };
  /** Metadata whose `tokenizer.*` entries are taken over as they are, instead of `files`. */
  readonly tokenizer?: GgufMetadata;
  readonly mixture: GgufMixture;
  /** For people: `general.name`. */
  readonly name: string;
  /** Overrides the recognition of byte-level BPE's pre-tokenizer. */
  readonly preTokenizer?: string;
}

/**
 * Plans the GGUF form of a model from its config, its tokenizer and the names and shapes of its tensors.
 * @throws {PlanError} `E_GGUF_…` where the model cannot be expressed or the checkpoint does not fit
 */
export function planGguf(request: GgufPlanRequest): GgufPlan {
  const { files, mixture, preTokenizer } = request;
  const model = ggufModelOf(files.config, tokenizerSize(files));
  const tensors = ggufOrder(ggufTensors(model, request.sources.tensors));
  const types = ggufTypes(tensors, mixture, model);
  const { architecture, vocab } = model;
  const tokenizer = request.tokenizer
    ? [...request.tokenizer].filter(([key]) => key.startsWith("tokenizer."))
    : ggufTokenizerMetadata({
        files,
        architecture,
        vocabSize: vocab,
        ...(preTokenizer === undefined ? {} : { preTokenizer }),
      });
  const general = ggufModelMetadata(model, { name: request.name, fileType: mixture.fileType, tensors });
  return {
    metadata: new Map([...general, ...tokenizer]),
    tensors: tensors.map((tensor, i) => ({
      ...restored(tensor, request.sources),
      dtype: types[i] ?? "float32",
    })),
  };
}

function restored(tensor: GgufTensor, sources: FormedSources): GgufTensor {
  return "constant" in tensor ? tensor : { ...tensor, value: restoreForms(tensor.value, sources) };
}
