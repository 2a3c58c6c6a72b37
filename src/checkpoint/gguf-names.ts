import { byteLength, elementCount } from "../core/dtype.ts";
import { CheckpointError, listProblems } from "../core/errors.ts";
import type { StoredForm, TensorInfo } from "../core/tensor-info.ts";

/** What names depend on. */
export interface GgufNaming {
  readonly architecture: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly experts: number;
}

/** Tensors under the names of the original checkpoint, and what is different about them. */
export interface NamedTensors {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly storedForms: ReadonlyMap<string, StoredForm>;
}

interface Renamed {
  readonly info: TensorInfo;
  readonly form?: StoredForm;
}

const GLOBAL: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

const LAYER: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  post_attention_norm: "post_attention_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Rotary factors: part of the config, not weights. */
const CONFIG_TENSORS = /^(blk\.\d+\.)?(rope_freqs|rope_factors_(long|short)|attn_rot_embd)\.weight$/;
const LAYER_NAME = /^blk\.(\d+)\.(\w+?)(?:\.(\d+))?\.(weight|bias)$/;

/**
 * Gives the tensors of a GGUF file their original names (gguf.md, section 6). Stacked experts and fused tensors
 * become slices of the same bytes.
 * @throws {CheckpointError} `E_GGUF_TENSORS`, listing the names that no known architecture has
 */
export function originalTensors(tensors: ReadonlyMap<string, TensorInfo>, naming: GgufNaming): NamedTensors {
  const named = new Map<string, TensorInfo>();
  const storedForms = new Map<string, StoredForm>();
  const unknown: string[] = [];
  for (const info of tensors.values()) {
    if (CONFIG_TENSORS.test(info.name)) continue;
    const renamed = rename(info, naming);
    if (renamed === undefined) unknown.push(info.name);
    for (const each of renamed ?? []) {
      named.set(each.info.name, each.info);
      if (each.form) storedForms.set(each.info.name, each.form);
    }
  }
  if (unknown.length === 0) return { tensors: named, storedForms };
  throw new CheckpointError(
    "E_GGUF_TENSORS",
    `tensors that ${naming.architecture} models do not have:\n${listProblems(unknown)}`,
    { hint: "the file holds an architecture that cannot be converted from GGUF" },
  );
}

function rename(info: TensorInfo, naming: GgufNaming): readonly Renamed[] | undefined {
  const [stem = "", suffix = ""] = splitSuffix(info.name);
  const global = GLOBAL[stem];
  if (global !== undefined) return [finish({ ...info, name: `${global}.${suffix}` }, naming)];
  const match = LAYER_NAME.exec(info.name);
  if (!match) return undefined;
  const [, layer, part = "", expert, end = ""] = match;
  const prefix = `model.layers.${layer}.`;
  if (expert !== undefined) return oneExpert(info, naming, { prefix, part, expert: Number(expert) });
  if (part.endsWith("_exps")) return allExperts(info, naming, { prefix, part });
  if (part === "attn_qkv") return fusedAttention(info, naming, { prefix, end });
  const name = layerName(part, naming);
  return name === undefined ? undefined : [finish({ ...info, name: `${prefix}${name}.${end}` }, naming)];
}

function splitSuffix(name: string): readonly string[] {
  const at = name.lastIndexOf(".");
  return [name.slice(0, at), name.slice(at + 1)];
}

function layerName(part: string, { architecture }: GgufNaming): string | undefined {
  const sandwich = architecture === "gemma2" || architecture === "gemma3";
  if (part === "ffn_norm") return sandwich ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  if (part === "ffn_gate_inp") return architecture === "llama" ? "block_sparse_moe.gate" : "mlp.gate";
  if (part === "ffn_up" && architecture === "phi3") return "mlp.gate_up_proj";
  return LAYER[part];
}

/** Marks what must be undone: llama's head order, and the one that is added to gemma's norms. */
function finish(info: TensorInfo, { architecture, heads, kvHeads }: GgufNaming): Renamed {
  if (architecture === "llama" && /\.self_attn\.[qk]_proj\./.test(info.name)) {
    const own = info.name.includes(".q_proj.") ? heads : kvHeads;
    return { info, form: { kind: "interleaved-heads", heads: own } };
  }
  if (architecture.startsWith("gemma") && info.name.endsWith("norm.weight")) {
    return { info, form: { kind: "plus-one" } };
  }
  return { info };
}

/** Rows `[start, start + rows)` of a contiguous tensor whose first axes are seen as one. */
function rowSlice(
  info: TensorInfo,
  name: string,
  { start, shape }: { start: number; shape: readonly number[] },
) {
  const cols = shape.length > 1 ? (shape.at(-1) ?? 1) : 1;
  const before = byteLength(info.dtype, start * cols) ?? 0;
  const nbytes = byteLength(info.dtype, elementCount(shape)) ?? 0;
  return { ...info, name, shape, byteOffset: info.byteOffset + before, nbytes };
}

function fusedAttention(
  info: TensorInfo,
  naming: GgufNaming,
  { prefix, end }: { readonly prefix: string; readonly end: string },
): readonly Renamed[] | undefined {
  if (naming.architecture === "phi3")
    return [{ info: { ...info, name: `${prefix}self_attn.qkv_proj.${end}` } }];
  const q = naming.heads * naming.headDim;
  const kv = naming.kvHeads * naming.headDim;
  if (info.shape[0] !== q + 2 * kv) return undefined;
  const parts = [
    ["q_proj", 0, q],
    ["k_proj", q, kv],
    ["v_proj", q + kv, kv],
  ] as const;
  return parts.map(([part, start, rows]) => {
    const shape = [rows, ...info.shape.slice(1)];
    return finish(rowSlice(info, `${prefix}self_attn.${part}.${end}`, { start, shape }), naming);
  });
}

/** Mixtral calls gate, down and up of an expert w1, w2 and w3. */
function expertName(naming: GgufNaming, prefix: string, part: string, expert: number): string {
  const mixtral: Readonly<Record<string, string>> = { gate: "w1", down: "w2", up: "w3" };
  const stem =
    naming.architecture === "llama" ? `block_sparse_moe.experts.${expert}.` : `mlp.experts.${expert}.`;
  return `${prefix}${stem}${naming.architecture === "llama" ? mixtral[part] : `${part}_proj`}.weight`;
}

function oneExpert(
  info: TensorInfo,
  naming: GgufNaming,
  at: { readonly prefix: string; readonly part: string; readonly expert: number },
): readonly Renamed[] | undefined {
  const part = /^ffn_(gate|down|up)$/.exec(at.part)?.[1];
  if (part === undefined || naming.experts === 0) return undefined;
  return [{ info: { ...info, name: expertName(naming, at.prefix, part, at.expert) } }];
}

function allExperts(
  info: TensorInfo,
  naming: GgufNaming,
  at: { readonly prefix: string; readonly part: string },
): readonly Renamed[] | undefined {
  const parts: Readonly<Record<string, readonly string[]>> = {
    ffn_gate_exps: ["gate"],
    ffn_down_exps: ["down"],
    ffn_up_exps: ["up"],
    ffn_gate_up_exps: ["gate", "up"],
  };
  const held = parts[at.part];
  const [experts = 0, rows = 0, cols = 0] = info.shape;
  if (held === undefined || info.shape.length !== 3 || experts !== naming.experts) return undefined;
  const shape = [rows / held.length, cols];
  return Array.from({ length: experts }, (_, expert) =>
    held.map((part, half): Renamed => {
      const start = expert * rows + half * (rows / held.length);
      return { info: rowSlice(info, expertName(naming, at.prefix, part, expert), { start, shape }) };
    }),
  ).flat();
}
