/**
 * Runs `work` on every item, at most `limit` at a time, and gives the results in the items' order.
 * A failure rejects with its reason once no work is in flight any more.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<number, R>();
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results.set(index, await work(item));
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  for (const settled of lanes) if (settled.status === "rejected") throw settled.reason;
  return items.map((_, index) => results.get(index) as R);
}
