import { ggufGroups, type ListedFile } from "../core/gguf-files.ts";
import type { Variant } from "./recommend-variant.ts";

const ENCODING =
  /(?:^|[-._/])((?:UD-|i1-)?(?:I?Q\d_(?:K_(?:XXS|XS|S|M|L|XL)|K|[01]|XXS|XS|S|M|NL)|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32))(?=[-._/])/gi;

/** The quantization that a GGUF file's name speaks of, spelled as is customary; the last one counts. */
export function encodingOfName(name: string): string | undefined {
  const found = [...name.matchAll(ENCODING)].at(-1)?.[1];
  if (found === undefined) return undefined;
  const upper = found.toUpperCase();
  return upper.replace(/^FP/, "F").replace(/^I1-/, "i1-");
}

/** The GGUF models among a repository's files whose names say how they are quantized. */
export function ggufVariants(files: readonly ListedFile[]): readonly Variant[] {
  return ggufGroups(files).flatMap(({ name, nbytes }) => {
    const quantization = encodingOfName(name);
    return quantization === undefined ? [] : [{ name, quantization, weightBytes: nbytes }];
  });
}
