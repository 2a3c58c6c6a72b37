/** What is known of each token, by id. */
export interface ScoredTokens {
  readonly texts: readonly string[];
  readonly types: readonly number[];
  readonly scores: readonly number[];
}

const NORMAL = 1;

interface Merge {
  readonly pair: readonly [left: string, right: string];
  readonly score: number;
  /** In characters. */
  readonly lengths: readonly [left: number, right: number];
}

/**
 * Merges that make byte-pair encoding choose as SentencePiece does: every way to split a normal token into two of
 * them, best score first (gguf.md, section 6).
 */
export function spmMerges(
  vocab: ReadonlyMap<string, number>,
  { texts, types, scores }: ScoredTokens,
): readonly (readonly string[])[] {
  const isNormal = (text: string): boolean => {
    const id = vocab.get(text);
    return id !== undefined && types[id] === NORMAL;
  };
  const merges: Merge[] = [];
  for (const [id, text] of texts.entries()) {
    if (types[id] !== NORMAL) continue;
    const score = scores[id] ?? 0;
    const found = splits(text).filter(({ pair }) => isNormal(pair[0]) && isNormal(pair[1]));
    found.sort((a, b) => order(vocab, a.pair, b.pair));
    for (const split of found) merges.push({ ...split, score });
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return merges.map(({ pair }) => pair);
}

function order(vocab: ReadonlyMap<string, number>, a: Merge["pair"], b: Merge["pair"]): number {
  const id = (text: string): number => vocab.get(text) ?? 0;
  return id(a[0]) - id(b[0]) || id(a[1]) - id(b[1]);
}

/** Every cut between two characters. */
function splits(text: string): Omit<Merge, "score">[] {
  const characters = [...text];
  let at = 0;
  return characters.slice(1).map((_, i) => {
    at += characters[i]?.length ?? 0;
    return { pair: [text.slice(0, at), text.slice(at)], lengths: [i + 1, characters.length - i - 1] };
  });
}
