import { UsageError } from "../core/errors.ts";
import type { Layout } from "../core/layout.ts";

/** Shards by their numbers, both ends included. */
export type ShardRange = readonly [first: number, last: number];

/**
 * Refuses a range that names shards which an output does not have.
 * @throws {UsageError} E_OPTION
 */
export function checkShardRange(
  [first, last]: ShardRange,
  outputs: readonly { readonly layout: Layout }[],
): void {
  const highest = Math.min(...outputs.map(({ layout }) => layout.shards.length)) - 1;
  if (last <= highest) return;
  const found = first === last ? `${first}` : `${first}-${last}`;
  throw new UsageError("E_OPTION", `--only-shards ${found}: the result has the shards 0 to ${highest}`, {
    hint: `name shards from 0 to ${highest}; \`mlc-convert plan\` lists what they hold`,
  });
}
