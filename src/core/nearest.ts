/**
 * The candidate with the smallest edit distance to `word`, if it is near enough to be a slip of the pen
 * (a third of the word's length); a candidate that begins the word, or that the word begins, counts as near.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  const prefixes = candidates.filter((one) => wanted.startsWith(one) || one.startsWith(wanted));
  const pool = prefixes.length > 0 ? prefixes : candidates;
  const ranked = pool
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best === undefined) return undefined;
  return prefixes.length > 0 || best.distance <= Math.max(1, wanted.length / 3) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
