/** Which files of a folder or a repository are GGUF models. */

/** A file by its name inside a folder or a repository. */
export interface ListedFile {
  /** Relative, with `/` between folders. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/** One GGUF model: a file, or all parts of a split one. */
export interface GgufGroup {
  /** Of the file, or of the first part. */
  readonly name: string;
  /** Part 1 first. */
  readonly files: readonly ListedFile[];
  /** Sum of all files, in bytes. */
  readonly nbytes: number;
}

const GGUF = /\.gguf$/i;
const PART = /-(\d{5})-of-(\d{5})\.gguf$/i;
/** Projectors, draft heads, importance matrices, vocabularies and adapters lie beside the models they belong to. */
const NO_MODEL = /(^|[/._-])(mmproj|mtp|imatrix|vocab|lora)([/._-]|$)/i;

/** The GGUF models among files, by name; a split model with missing parts is none. */
export function ggufGroups(files: readonly ListedFile[]): readonly GgufGroup[] {
  const groups = new Map<string, { files: ListedFile[]; parts: number }>();
  for (const file of files) {
    if (!GGUF.test(file.name) || NO_MODEL.test(file.name)) continue;
    const part = PART.exec(file.name);
    const key = part ? `${file.name.slice(0, part.index)}-of-${part[2]}` : file.name;
    const group = groups.get(key) ?? { files: [], parts: Number(part?.[2] ?? 1) };
    group.files.push(file);
    groups.set(key, group);
  }
  const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
    a.name < b.name ? -1 : 1;
  return [...groups.values()]
    .filter((group) => group.files.length === group.parts)
    .map((group) => [...group.files].sort(byName))
    .map((parts) => ({
      name: parts[0]?.name ?? "",
      files: parts,
      nbytes: parts.reduce((sum, { size }) => sum + size, 0),
    }))
    .sort(byName);
}

/**
 * The models that the user's words mean: a file's path or name, the name of any of its parts, a pattern with `*`
 * and `?`, or a piece of the name between separators, such as `Q4_K_M`. The most exact reading that finds
 * something counts.
 */
export function matchGguf(groups: readonly GgufGroup[], wanted: string): readonly GgufGroup[] {
  const readings: readonly ((name: string) => boolean)[] = [
    (name) => name === wanted,
    (name) => baseName(name) === wanted,
    (name) => patternOf(wanted).test(name) || patternOf(wanted).test(baseName(name)),
    (name) => pieceOf(wanted).test(name),
  ];
  for (const reading of readings) {
    const found = groups.filter(({ files }) => files.some(({ name }) => reading(name)));
    if (found.length > 0) return found;
  }
  return [];
}

const baseName = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
const escaped = (text: string): string => text.replace(/[.+^${}()|[\]\\*?]/g, "\\$&");

function patternOf(glob: string): RegExp {
  const body = glob.replace(/[*?]|[^*?]+/g, (piece) =>
    piece === "*" ? ".*" : piece === "?" ? "." : escaped(piece),
  );
  return new RegExp(`^${body}$`);
}

const pieceOf = (word: string): RegExp => new RegExp(`(^|[-._/])${escaped(word)}(?=[-._/]|$)`, "i");
