import type { Variant } from "./recommend-variant.ts";

/** A file of a repository. */
export interface ListedFile {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

const ENCODING =
  /(?:^|[-._/])((?:UD-|i1-)?(?:I?Q\d_(?:K_(?:XXS|XS|S|M|L|XL)|K|[01]|XXS|XS|S|M|NL)|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32))(?=[-._/])/gi;
const PART = /-(\d{5})-of-(\d{5})\.gguf$/i;
const NO_MODEL = /(^|[/._-])(mmproj|mtp|imatrix|vocab|lora)([/._-]|$)/i;

/** The quantization that a GGUF file's name speaks of, spelled as is customary; the last one counts. */
export function encodingOfName(name: string): string | undefined {
  const found = [...name.matchAll(ENCODING)].at(-1)?.[1];
  if (found === undefined) return undefined;
  const upper = found.toUpperCase();
  return upper.replace(/^FP/, "F").replace(/^I1-/, "i1-");
}

/**
 * The models among a repository's files: shards of one are added up, files that are no models (projectors,
 * importance matrices, adapters) and groups with missing shards are left out.
 */
export function ggufVariants(files: readonly ListedFile[]): readonly Variant[] {
  const groups = new Map<string, { files: ListedFile[]; parts: number }>();
  for (const file of files) {
    if (!/\.gguf$/i.test(file.name) || NO_MODEL.test(file.name)) continue;
    const part = PART.exec(file.name);
    const key = part ? file.name.slice(0, part.index) : file.name;
    const group = groups.get(key) ?? { files: [], parts: Number(part?.[2] ?? 1) };
    group.files.push(file);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(({ files: parts, parts: expected }) => {
    const first = [...parts].sort((a, b) => (a.name < b.name ? -1 : 1))[0];
    const quantization = first && encodingOfName(first.name);
    if (!first || quantization === undefined || parts.length !== expected) return [];
    const weightBytes = parts.reduce((sum, file) => sum + file.size, 0);
    return [{ name: first.name, quantization, weightBytes }];
  });
}
