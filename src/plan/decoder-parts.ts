import { cutQkv, type DecoderSizes } from "./decoder-sizes.ts";
import type { Parameter } from "./parameter.ts";
import { bias, cut, experts, joined, linear, stacked } from "./table.ts";

const QKV = ["q_proj", "k_proj", "v_proj"] as const;
const GATE_UP = ["gate_proj", "up_proj"] as const;

/** What a fused projection and its shard strategy are called. */
export interface Naming {
  readonly to: string;
  readonly shard: string;
}

/** The usual names of the fused query, key and value projection. */
export const QKV_PROJ: Naming = { to: "qkv_proj", shard: "_shard_qkv" };

/** Query, key and value weights [rows, hidden], joined along the rows. */
export function fusedQkv(
  attention: string,
  sizes: DecoderSizes,
  { to, shard }: Naming = QKV_PROJ,
): Parameter {
  const from = joined(`${attention}.*.weight`, QKV);
  return linear(`${attention}.${to}.weight`, [sizes.qkv, sizes.hidden], {
    from,
    shard: cutQkv(shard, sizes),
  });
}

/** Query, key and value biases [rows], joined. */
export function fusedQkvBias(attention: string, sizes: DecoderSizes, { to, shard }: Naming): Parameter {
  const from = joined(`${attention}.*.bias`, QKV);
  return bias(`${attention}.${to}.bias`, [sizes.qkv], { from, shard: cutQkv(shard, sizes) });
}

/** The projection of the attention's result: `o_proj` [hidden, query rows]. */
export function outputProjection(attention: string, sizes: DecoderSizes, shard = "_shard_o"): Parameter {
  return linear(`${attention}.o_proj.weight`, [sizes.hidden, sizes.q], { shard: cut(shard, 1) });
}

/** Names of the shard strategies of a gated feed-forward network. */
export interface GatedCuts {
  readonly up: string;
  readonly down: string;
}

const GATED_CUTS: GatedCuts = { up: "_shard_mlp_up", down: "_shard_mlp_down" };

/** Gate and up projection joined along the rows [2 width, hidden], and the down projection [hidden, width]. */
export function gatedFfn(
  mlp: string,
  { hidden, ffn }: Pick<DecoderSizes, "hidden" | "ffn">,
  cuts: GatedCuts = GATED_CUTS,
): readonly Parameter[] {
  return [
    linear(`${mlp}.gate_up_proj.weight`, [2 * ffn, hidden], {
      from: joined(`${mlp}.*.weight`, GATE_UP),
      shard: cut(cuts.up, 0, [ffn, ffn]),
    }),
    linear(`${mlp}.down_proj.weight`, [hidden, ffn], { shard: cut(cuts.down, 1) }),
  ];
}

/** Where the stacked experts of one layer come from and what they become. */
export interface GatedExperts {
  readonly up: { readonly name: string; readonly shard: string };
  readonly down: { readonly name: string; readonly shard: string };
  /** What the experts' names begin with, up to the number. */
  readonly from: string;
  /** Names of gate, up and down projection within an expert. */
  readonly words: readonly [gate: string, up: string, down: string];
  readonly sizes: { readonly count: number; readonly hidden: number; readonly ffn: number };
}

/**
 * Experts stacked along a new axis: gate and up joined along the rows [experts, 2 width, hidden],
 * and the down projections [experts, hidden, width].
 */
export function gatedExperts({ up, down, from, words, sizes }: GatedExperts): readonly Parameter[] {
  const { count, hidden, ffn } = sizes;
  const [gateWord, upWord, downWord] = words;
  return [
    experts(up.name, [count, 2 * ffn, hidden], {
      from: stacked(`${from}.#.*.weight`, count, [gateWord, upWord]),
      shard: cut(up.shard, 1, [ffn, ffn]),
    }),
    experts(down.name, [count, hidden, ffn], {
      from: stacked(`${from}.#.${downWord}.weight`, count),
      shard: cut(down.shard, 2),
    }),
  ];
}
